// Says how the tests went in the words of `cargo test`, so that xtask counts all of them alike.

export default async function* report(events) {
  const tally = { passed: 0, failed: 0, ignored: 0 }
  for await (const { type, data } of events) {
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message
    if (type === 'test:pass') tally[data.skip || data.todo ? 'ignored' : 'passed'] += 1
    if (type === 'test:fail') {
      tally.failed += 1
      const { error } = data.details
      yield `test ${data.name} ... FAILED\n${error.cause?.stack ?? error.cause ?? error.stack}\n`
    }
  }
  const { passed, failed, ignored } = tally
  yield `test result: ${failed ? 'FAILED' : 'ok'}. ${passed} passed; ${failed} failed; ${ignored} ignored\n`
}
