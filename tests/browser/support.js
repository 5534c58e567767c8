// What the tests share: one browser, a page for each test, and what must not happen on any of them.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'

/** Where the example is served, and everybody's password; `xtask` says it, as it says where Chromium is. */
export const root = process.env.API_URL
export const { PASSWORD } = process.env
const { CHROMIUM, SCREENSHOTS } = process.env

let browser
before(async () => {
  // Chromium's own sandbox does not work for root, which is who runs the tests on a fresh machine.
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
})
after(() => browser.close())

/** What a page says that goes wrong: errors of scripts, what its own rules forbid, answers that are errors. */
function listen(page) {
  const told = []
  page.on('pageerror', (error) => told.push(error.message))
  page.on('console', (message) => message.type() === 'error' && told.push(message.text()))
  return told
}

/** A page of its own, as if on a machine of its own. */
export async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 760 }, ...options })
  context.setDefaultTimeout(10_000)
  const page = await context.newPage()
  const told = listen(page)
  await page.goto(root)
  return { page, told, close: () => context.close() }
}

/** A test with a page, on which nothing may go wrong but what `expected` matches. */
export function visit(name, work, { expected, ...options } = {}) {
  test(name, async () => {
    const { page, told, close } = await open(options)
    try {
      await work(page)
    } finally {
      await close()
    }
    assert.deepEqual(told.filter((line) => !expected?.test(line)), [])
  })
}

/** What people with a screen reader are told: roles, names and states of all that there is. */
export async function readsAs(page, expected) {
  const trim = (text) => text.replace(/^\n+|\s+$/g, '')
  assert.equal(trim(await page.locator('body').ariaSnapshot()), trim(expected))
}

/** Waits until a locator has this text. */
export async function says(locator, text) {
  try {
    await locator.filter({ hasText: text }).waitFor()
  } catch {
    assert.fail(`not ${JSON.stringify(text)} but ${JSON.stringify(await locator.allTextContents())}`)
  }
}

/** The texts of all that a locator finds. */
export const texts = async (locator) => (await locator.allTextContents()).map((text) => text.trim().replace(/\s+/g, ' '))

/** Where the keyboard is. */
export const focused = (page) => page.locator(':focus')

/** A picture for whoever wants to look: SCREENSHOTS=DIR. */
export async function picture(page, name) {
  if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, fullPage: true })
}
