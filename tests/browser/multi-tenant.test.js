// examples/multi-tenant: two people side by side, of whom neither sees what the other has.

import assert from 'node:assert/strict'
import { focused, PASSWORD, picture, readsAs, says, texts, visit } from './support.js'

const left = (page) => page.getByRole('region', { name: 'Left desk' })
const right = (page) => page.getByRole('region', { name: 'Right desk' })
const tenants = (desk) => texts(desk.getByRole('heading', { level: 3 }))
const tasks = (desk) => texts(desk.getByRole('listitem'))

async function signIn(desk, name, password = PASSWORD) {
  await desk.getByLabel('Name').fill(name)
  await desk.getByLabel('Password').fill(password)
  await desk.getByRole('button', { name: 'Sign in' }).click()
}

/** What the API answers to a request of who sits there. */
async function ask(desk, path) {
  await desk.getByLabel('Ask for something').fill(path)
  const answered = desk.page().waitForResponse((answer) => answer.url().includes('/api/'))
  await desk.getByRole('button', { name: 'Ask' }).click()
  await answered
  await says(desk.locator('output'), /^\d/)
  await desk.getByRole('button', { name: 'Ask', disabled: false }).waitFor()
  return (await desk.locator('output').textContent()).replace(/\s+/g, ' ')
}

visit('two tenants that do not see each other', async (page) => {
  await signIn(left(page), 'ada')
  await signIn(right(page), 'cyd')
  await says(left(page).getByRole('heading', { level: 2 }), 'Left desk: ada')
  await says(right(page).getByRole('heading', { level: 2 }), 'Right desk: cyd')
  assert.deepEqual(await tenants(left(page)), ['Acme'])
  assert.deepEqual(await tenants(right(page)), ['Globex'])
  assert.deepEqual(await tasks(left(page)), ['Draw', 'Write', 'Count'])
  assert.deepEqual(await tasks(right(page)), ['Wire'])
  // Not by asking for it either.
  assert.equal(await ask(left(page), '/tasks?id=eq.200'), '200 []')
  assert.equal(await ask(left(page), '/tenants?select=name'), '200 [ { "name": "Acme" } ]')
  assert.equal(await ask(right(page), '/projects?tenant_id=eq.1'), '200 []')
  assert.match(await ask(right(page), '/nothing'), /^404 \{ "code": "PGRST205"/)
  await picture(page, 'multi-tenant')
}, { expected: /status of 404/ })

visit('who is of both sees both, and what is written is there for all of a tenant', async (page) => {
  await signIn(left(page), 'ada')
  await says(left(page).getByRole('heading', { level: 2 }), 'Left desk: ada')
  await left(page).getByLabel('One more task of Web site').fill('Publish')
  await page.keyboard.press('Enter')
  await says(left(page).getByRole('listitem').nth(2), 'Publish')
  await left(page).getByRole('checkbox', { name: 'Publish' }).check()
  await left(page).getByRole('checkbox', { name: 'Publish', disabled: false }).waitFor()
  await signIn(right(page), 'bob')
  await says(right(page).getByRole('heading', { level: 2 }), 'Right desk: bob')
  assert.deepEqual(await tenants(right(page)), ['Acme', 'Globex'])
  assert.deepEqual(await tasks(right(page)), ['Draw', 'Write', 'Publish', 'Count', 'Wire'])
  assert.ok(await right(page).getByRole('checkbox', { name: 'Publish' }).isChecked())
})

visit('what a screen reader reads', async (page) => {
  await signIn(right(page), 'cyd')
  await says(right(page).getByRole('heading', { level: 2 }), 'Right desk: cyd')
  await readsAs(page, `
- banner:
  - heading "Tenants" [level=1]
  - paragraph: Two people at two desks, with one database behind both. Both desks send the same requests.
- main:
  - region "Left desk":
    - heading "Left desk" [level=2]
    - alert
    - text: Name
    - textbox "Name"
    - text: Password
    - textbox "Password"
    - button "Sign in"
  - region "Right desk":
    - 'heading "Right desk: cyd" [level=2]'
    - button "Sign out"
    - alert
    - article:
      - heading "Globex" [level=3]
      - paragraph: "Members: bob, cyd (owner)"
      - heading "Intranet" [level=4]
      - list:
        - listitem:
          - checkbox "Wire"
          - text: Wire
      - textbox "One more task of Intranet":
        - /placeholder: One more task
      - button "Add"
    - text: Ask for something
    - textbox "Ask for something": /tasks?select=id,title
    - button "Ask"
    - status`)
})

visit('signing out, and by keyboard', async (page) => {
  await left(page).getByLabel('Name').focus()
  await page.keyboard.type('ada')
  await page.keyboard.press('Tab')
  await page.keyboard.type('wrong')
  await page.keyboard.press('Enter')
  await says(left(page).getByRole('alert'), 'Name or password is wrong.')
  await left(page).getByLabel('Password').fill(PASSWORD)
  await page.keyboard.press('Enter')
  await says(left(page).getByRole('heading', { level: 2 }), 'Left desk: ada')
  assert.equal(await focused(page).textContent(), 'Sign out')
  await page.keyboard.press('Enter')
  assert.equal(await focused(page).getAttribute('name'), 'name')
  assert.equal(await left(page).getByRole('article').count(), 0)
  await signIn(left(page), 'eve')
  await says(left(page).locator('.tenants'), 'Member of no tenant.')
}, { expected: /status of 401/ })

visit('on a telephone, in the dark', async (page) => {
  await signIn(left(page), 'bob')
  await says(left(page).getByRole('heading', { level: 2 }), 'Left desk: bob')
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false)
  await picture(page, 'multi-tenant-telephone')
}, { viewport: { width: 340, height: 600 }, colorScheme: 'dark' })
