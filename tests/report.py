"""How a program of tests in Python tells how its tests went: in the words of `cargo test`, so that xtask counts all of them alike."""

import os
import sys
import unittest


def main():
    """Runs the tests of the program."""
    with open(os.devnull, "w") as quiet:
        tests = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
        result = unittest.TextTestRunner(stream=quiet).run(tests)
    broken = result.failures + result.errors
    for case, trace in broken:
        print(f"test {case} ... FAILED\n{trace}")
    # A test of several parts may fail in each.
    failed, ignored = len({case.id().split(" ")[0] for case, _ in broken}), len(result.skipped)
    word = "FAILED" if broken else "ok"
    print(f"test result: {word}. {result.testsRun - failed - ignored} passed; {failed} failed; {ignored} ignored")
    sys.exit(bool(broken))
