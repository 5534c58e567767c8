// /_docs: the document of who looks at it, under rules by which nothing is inline and nothing comes from elsewhere.

import assert from 'node:assert/strict'
import { PASSWORD, picture, root, says, texts, visit } from './support.js'

const paths = (page) => texts(page.locator('.opblock-summary-path'))

async function signIn(page, credential) {
  await page.getByLabel('As').selectOption('name:password')
  await page.getByLabel('What to sign in with').fill(credential)
  await page.getByRole('button', { name: 'Show' }).click()
}

visit('the document of who signs in, and a request that is theirs', async (page) => {
  await page.goto(`${root}/api/_docs`)
  await says(page.getByRole('alert'), /./)
  assert.deepEqual(await paths(page), [])
  await signIn(page, `ada:${PASSWORD}`)
  await page.locator('#operations-tenants-read_tenants').waitFor()
  assert.equal(await page.getByRole('alert').count(), 0)
  const all = await paths(page)
  for (const path of ['/tenants', '/projects', '/tasks', '/_batch']) assert.ok(all.includes(path), path)
  const operation = page.locator('#operations-tenants-read_tenants')
  await operation.getByRole('button').first().click()
  await operation.getByRole('button', { name: 'Try it out' }).click()
  await operation.getByRole('button', { name: 'Execute' }).click()
  await says(operation.locator('.live-responses-table .response-col_description pre').first(), /Acme/)
  assert.doesNotMatch(await operation.locator('.live-responses-table').textContent(), /Globex/)
  await picture(page, 'docs')
}, { expected: /status of 401/ })

visit('a wrong password is told', async (page) => {
  await page.goto(`${root}/api/_docs`)
  await signIn(page, 'ada:no')
  await says(page.getByRole('alert'), /./)
  assert.deepEqual(await paths(page), [])
}, { expected: /status of 401/ })
