// The blog, as a reader has it. That drafts, comments nobody has approved and addresses are not here is the server's doing
// (policies.toml): this page asks for all that there is.

const $ = (id) => document.getElementById(id)

// Each post with who wrote it, what it is about and what was said of it, in one request.
const POSTS =
  'id,title,body,minutes,published_at,people(name,email),tags(name),comments(id,author,body,written_at)'

/** What the API answers; what is wrong with it is thrown in words for people. */
async function ask(path, options) {
  const answer = await fetch(`api${path}`, options).catch(() => {
    throw new Error('The server cannot be reached. Is it running?')
  })
  const text = await answer.text()
  const data = text ? JSON.parse(text) : null
  if (!answer.ok) throw new Error([data.message, data.hint].filter(Boolean).join('. '))
  return data
}

/** A value as it stands in a list of the grammar, whatever is in it. */
const quoted = (text) => `"${text.replace(/["\\]/g, '\\$&')}"`

function posts(words) {
  const query = new URLSearchParams({ select: POSTS, order: 'published_at.desc', 'comments.order': 'written_at' })
  if (words) query.set('or', `(title.wfts.${quoted(words)},body.wfts.${quoted(words)})`)
  return ask(`/posts?${query}`)
}

/** "2026-01-05 09:00:00", which is in UTC, as a day. */
const day = (text) =>
  new Date(`${text.replace(' ', 'T')}Z`).toLocaleDateString('en-GB', { dateStyle: 'long', timeZone: 'UTC' })

function comment({ author, body, written_at: at }) {
  const [item, who, when] = ['li', 'strong', 'time'].map((name) => document.createElement(name))
  who.textContent = author
  when.textContent = day(at)
  when.dateTime = at
  item.append(who, ', ', when, ': ', body)
  return item
}

function show(post) {
  const article = $('post').content.cloneNode(true).firstElementChild
  const part = (selector) => article.querySelector(selector)
  part('h2').textContent = post.title
  const tags = post.tags.map((tag) => tag.name).join(', ')
  const about = [`${post.people.name} (${post.people.email})`, day(post.published_at), `${post.minutes} min`, tags]
  part('.about').textContent = about.filter(Boolean).join(' · ')
  part('.body').textContent = post.body
  part('summary').textContent = `Comments (${post.comments.length})`
  part('.comments').append(...post.comments.map(comment))
  part('form').addEventListener('submit', (event) => send(event, post.id))
  return article
}

async function send(event, post_id) {
  event.preventDefault()
  const form = event.target
  const [button, told] = [form.querySelector('button'), form.querySelector('.told')]
  const { author, email, body } = Object.fromEntries(new FormData(form))
  button.disabled = true
  try {
    await ask('/comments', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ post_id, author, email: email || null, body }),
    })
    form.reset()
    told.textContent = 'Thank you. It is shown when the author has approved it.'
  } catch (error) {
    told.textContent = error.message
  } finally {
    button.disabled = false
  }
}

// The answer to a search that was begun earlier may come later.
let latest = 0

async function search() {
  const own = ++latest
  const words = $('words').value.trim()
  try {
    const found = await posts(words)
    if (own !== latest) return
    $('error').textContent = ''
    $('posts').replaceChildren(...found.map(show))
    const number = `${found.length} ${found.length === 1 ? 'post' : 'posts'}`
    $('found').textContent = words ? `${number} with ${words}` : number
  } catch (error) {
    if (own !== latest) return
    $('error').textContent = error.message
    $('found').textContent = ''
    $('posts').replaceChildren()
  }
}

$('search').addEventListener('submit', (event) => {
  event.preventDefault()
  search()
})
search()
