// Two desks, at each of which somebody signs in. No request names a tenant: whose rows they are is the server's affair (policies.toml).

const TENANTS = '/tenants?select=id,name,memberships(user_id,is_owner),projects(id,title,tasks(id,title,done))&order=name'

const clone = (id) => document.getElementById(id).content.cloneNode(true).firstElementChild

/** The API as it is for one person. Nothing of a password is stored: it is gone with the page. */
function api(name, password) {
  const bytes = new TextEncoder().encode(`${name}:${password}`)
  const authorization = `Basic ${btoa(String.fromCodePoint(...bytes))}`
  /** Status and body of an answer, whatever it is. */
  const send = async (path, { method = 'GET', body, prefer } = {}) => {
    const headers = { Authorization: authorization }
    if (body) headers['Content-Type'] = 'application/json'
    if (prefer) headers.Prefer = prefer
    // With `omit` the browser does not ask for a password in a window of its own when this one is wrong.
    const options = { method, headers, credentials: 'omit', body: body && JSON.stringify(body) }
    const answer = await fetch(`api${path}`, options).catch(() => {
      throw new Error('The server cannot be reached. Is it running?')
    })
    const text = await answer.text()
    return { status: answer.status, ok: answer.ok, data: text ? JSON.parse(text) : null }
  }
  /** The data of an answer; what is wrong with it is thrown in words for people. */
  const data = async (path, options) => {
    const { status, ok, data } = await send(path, options)
    if (status === 401) throw new Error('Name or password is wrong.')
    if (!ok) throw new Error([data.message, data.hint].filter(Boolean).join('. '))
    return data
  }
  return { send, data }
}

function task(desk, { id, title, done }) {
  const [item, label, box, text] = ['li', 'label', 'input', 'span'].map((name) => document.createElement(name))
  box.type = 'checkbox'
  box.checked = done
  text.textContent = title
  box.addEventListener('change', async () => {
    const change = { method: 'PATCH', body: { done: box.checked } }
    const isDone = await desk.doing(box, () => desk.api.data(`/tasks?id=eq.${id}`, change))
    if (!isDone) box.checked = !box.checked
    box.focus()
  })
  label.append(box, text)
  item.append(label)
  return item
}

function project(desk, { id, title, tasks }) {
  const part = clone('project')
  const [list, form] = [part.querySelector('ul'), part.querySelector('form')]
  part.querySelector('h4').textContent = title
  list.append(...tasks.map((one) => task(desk, one)))
  const input = form.elements.title
  input.placeholder = 'One more task'
  input.setAttribute('aria-label', `One more task of ${title}`)
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    await desk.doing(form.querySelector('button'), async () => {
      const row = { project_id: id, title: input.value }
      const path = '/tasks?select=id,title,done'
      const added = await desk.api.data(path, { method: 'POST', body: row, prefer: 'return=representation' })
      list.append(...added.map((one) => task(desk, one)))
      form.reset()
    })
    input.focus()
  })
  return part
}

function tenant(desk, { name, memberships, projects }) {
  const part = clone('tenant')
  part.querySelector('h3').textContent = name
  const members = memberships.map((one) => (one.is_owner ? `${one.user_id} (owner)` : one.user_id))
  part.querySelector('.members').textContent = `Members: ${members.join(', ')}`
  part.querySelector('.projects').append(...projects.map((one) => project(desk, one)))
  return part
}

function desk(title) {
  const part = clone('desk')
  const [enter, inside, leave, error] = ['.enter', '.inside', '.leave', '.error'].map((s) => part.querySelector(s))
  const [tenants, ask, heading] = ['.tenants', '.ask', 'h2'].map((s) => part.querySelector(s))
  const own = {
    api: null,
    /** Does something for a form or a control, which waits meanwhile, and shows what goes wrong. */
    async doing(control, work) {
      control.disabled = true
      try {
        error.textContent = ''
        await work()
        return true
      } catch (wrong) {
        error.textContent = wrong.message
        return false
      } finally {
        control.disabled = false
      }
    },
  }
  const isIn = (name) => {
    heading.textContent = name ? `${title}: ${name}` : title
    inside.hidden = leave.hidden = !name
    enter.hidden = Boolean(name)
  }
  part.setAttribute('aria-label', title)
  isIn('')

  enter.addEventListener('submit', async (event) => {
    event.preventDefault()
    const { name, password } = Object.fromEntries(new FormData(enter))
    await own.doing(enter.querySelector('button'), async () => {
      const asking = api(name, password)
      const rows = await asking.data(TENANTS)
      own.api = asking
      enter.reset()
      tenants.replaceChildren(...rows.map((row) => tenant(own, row)))
      if (!rows.length) tenants.textContent = 'Member of no tenant.'
      isIn(name)
      leave.focus()
    })
  })

  ask.addEventListener('submit', async (event) => {
    event.preventDefault()
    await own.doing(ask.querySelector('button'), async () => {
      const { status, data } = await own.api.send(ask.elements.path.value)
      ask.querySelector('output').textContent = `${status}\n${JSON.stringify(data, null, 1)}`
    })
  })

  leave.addEventListener('click', () => {
    own.api = null
    tenants.replaceChildren()
    ask.reset()
    ask.querySelector('output').textContent = ''
    error.textContent = ''
    isIn('')
    enter.elements.name.focus()
  })
  return part
}

document.getElementById('desks').replaceChildren(desk('Left desk'), desk('Right desk'))
