// examples/todo: signing in, one's own rows, and everything by keyboard.

import assert from 'node:assert/strict'
import { focused, open, PASSWORD, picture, readsAs, says, texts, visit } from './support.js'

const items = (page) => page.getByRole('listitem')
const titles = (page) => texts(items(page).locator('span'))
const refused = /status of 401/

async function signIn(page, name, password = PASSWORD) {
  await page.getByLabel('Name').fill(name)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

visit('what a screen reader reads before and after', async (page) => {
  await page.locator('[name=name]:focus').waitFor()
  await readsAs(page, `
- banner:
  - heading "To do" [level=1]
- main:
  - alert
  - text: Name
  - textbox "Name"
  - text: Password
  - textbox "Password"
  - button "Sign in"`)
  await picture(page, 'todo-sign-in')
  await signIn(page, 'ida')
  await says(page.getByRole('status'), '1 of 2 done')
  await page.locator('#title:focus').waitFor()
  await readsAs(page, `
- banner:
  - heading "To do" [level=1]
  - paragraph:
    - text: ida
    - button "Sign out"
- main:
  - alert
  - region "What is to be done":
    - text: What is to be done?
    - textbox "What is to be done?"
    - button "Add"
    - list:
      - listitem:
        - checkbox "Buy milk" [checked]
        - text: Buy milk
        - button "Delete Buy milk": Delete
      - listitem:
        - checkbox "Learn to sail"
        - text: Learn to sail
        - button "Delete Learn to sail": Delete
    - status: 1 of 2 done`)
  await picture(page, 'todo')
})

visit('by keyboard alone', async (page) => {
  const keys = page.keyboard
  await page.locator('[name=name]:focus').waitFor()
  await keys.type('ida')
  await keys.press('Tab')
  await keys.type(PASSWORD)
  await keys.press('Enter')
  await says(page.getByRole('status'), '1 of 2 done')
  await keys.type('Mend the sail')
  await keys.press('Enter')
  await says(page.getByRole('status'), '1 of 3 done')
  assert.deepEqual(await titles(page), ['Buy milk', 'Learn to sail', 'Mend the sail'])
  assert.equal(await focused(page).inputValue(), '', 'the next one can be typed')
  // Over the button, and two for each row before it.
  for (let n = 0; n < 6; n += 1) await keys.press('Tab')
  await keys.press('Space')
  await says(page.getByRole('status'), '2 of 3 done')
  await keys.press('Tab')
  assert.equal(await focused(page).getAttribute('aria-label'), 'Delete Mend the sail')
  await keys.press('Enter')
  await says(page.getByRole('status'), '1 of 2 done')
  assert.equal(await focused(page).getAttribute('aria-label'), 'Delete Learn to sail', 'focus is not lost')
  await page.reload()
  await signIn(page, 'ida')
  await says(page.getByRole('status'), '1 of 2 done')
})

visit('what is done stays done', async (page) => {
  await signIn(page, 'ida')
  const sail = page.getByRole('checkbox', { name: 'Learn to sail' })
  await sail.check()
  await says(page.getByRole('status'), '2 of 2 done')
  await page.reload()
  await signIn(page, 'ida')
  await says(page.getByRole('status'), '2 of 2 done')
  await sail.uncheck()
  await says(page.getByRole('status'), '1 of 2 done')
})

visit('everybody has their own', async (page) => {
  await signIn(page, 'ida')
  await says(page.getByRole('status'), '1 of 2 done')
  const other = await open()
  await signIn(other.page, 'bo')
  await says(other.page.getByRole('status'), '0 of 1 done')
  assert.deepEqual(await titles(other.page), ['Mend the roof'])
  await other.page.getByLabel('What is to be done?', { exact: true }).fill('Paint it')
  await other.page.getByRole('button', { name: 'Add' }).click()
  await says(other.page.getByRole('status'), '0 of 2 done')
  await page.getByRole('button', { name: 'Sign out' }).click()
  assert.equal(await items(page).count(), 0)
  await signIn(page, 'ida')
  await says(page.getByRole('status'), '1 of 2 done')
  assert.deepEqual(await titles(page), ['Buy milk', 'Learn to sail'])
  await other.page.getByRole('button', { name: 'Delete Paint it' }).click()
  await says(other.page.getByRole('status'), '0 of 1 done')
  assert.deepEqual(other.told, [])
  await other.close()
})

visit('who is not let in is told so, and by the page', async (page) => {
  for (const [name, password] of [['ida', 'wrong'], ['nobody', PASSWORD], ['ïda', 'pässwörd✓']]) {
    await signIn(page, name, password)
    await says(page.getByRole('alert'), 'Name or password is wrong.')
    assert.equal(await items(page).count(), 0)
    assert.ok(await page.getByRole('button', { name: 'Sign in' }).isEnabled())
  }
  await picture(page, 'todo-refused')
  await signIn(page, 'ida')
  await says(page.getByRole('status'), '1 of 2 done')
  assert.equal(await page.getByRole('alert').textContent(), '')
}, { expected: refused })

visit('titles are text, whatever is in them', async (page) => {
  await signIn(page, 'ida')
  await says(page.getByRole('status'), '1 of 2 done')
  const title = '<img src=x onerror="document.title=1"> & "quotes" \\ ☃'
  await page.locator('#title').fill(title)
  await page.getByRole('button', { name: 'Add' }).click()
  await says(page.getByRole('status'), '1 of 3 done')
  assert.deepEqual((await titles(page)).at(-1), title)
  assert.equal(await page.title(), 'To do')
  await page.getByRole('button', { name: `Delete ${title}` }).click()
  await says(page.getByRole('status'), '1 of 2 done')
})

visit('a server that cannot be reached', async (page) => {
  await signIn(page, 'ida')
  await says(page.getByRole('status'), '1 of 2 done')
  await page.context().setOffline(true)
  await page.getByRole('checkbox', { name: 'Learn to sail' }).click()
  await says(page.getByRole('alert'), 'The server cannot be reached. Is it running?')
  assert.equal(await page.getByRole('checkbox', { name: 'Learn to sail' }).isChecked(), false, 'what is not done is not shown as done')
  await says(page.getByRole('status'), '1 of 2 done')
  await page.context().setOffline(false)
  await page.getByRole('button', { name: 'Delete Learn to sail' }).focus()
  await page.getByRole('checkbox', { name: 'Learn to sail' }).check()
  await says(page.getByRole('status'), '2 of 2 done')
  await page.getByRole('checkbox', { name: 'Learn to sail' }).uncheck()
  await says(page.getByRole('status'), '1 of 2 done')
}, { expected: /ERR_INTERNET_DISCONNECTED/ })

visit('another supabase-js than the one that was looked at is not run', async (page) => {
  await page.route('**/supabase.js', async (route) => {
    const answer = await route.fetch()
    await route.fulfill({ response: answer, body: `${await answer.text()};document.title = 'run'` })
  })
  await page.reload()
  assert.equal(await page.evaluate(() => typeof window.supabase), 'undefined')
  assert.equal(await page.title(), 'To do')
}, { expected: /integrity/ })

visit('on a telephone, in the dark', async (page) => {
  await signIn(page, 'ida')
  await says(page.getByRole('status'), '1 of 2 done')
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)
  assert.equal(overflow, false)
  await picture(page, 'todo-telephone')
}, { viewport: { width: 340, height: 600 }, colorScheme: 'dark' })
