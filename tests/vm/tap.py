# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a file's unittest cases and reports them in TAP, which meson reads."""

import sys
import time
import unittest


class Result(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out, self.number, self.began = out, 0, time.monotonic()

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def _line(self, verdict, test, note=""):
        self.number += 1
        name = str(test).split(" ")[0]
        seconds = time.monotonic() - self.began
        print(f"{verdict} {self.number} - {name} ({seconds:.1f} s){note}", file=self.out, flush=True)

    def _bad(self, test, err):
        self._line("not ok", test)
        for line in self._exc_info_to_string(err, test).splitlines():
            print(f"# {line}", file=self.out, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._bad(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._bad(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._bad(subtest, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line("ok", test, f" # SKIP {reason}")


def main(module="__main__"):
    """Runs the module's cases; arguments are names of cases to run alone."""
    loader = unittest.defaultTestLoader
    names = sys.argv[1:]
    mod = sys.modules[module]
    suite = (loader.loadTestsFromNames(names, mod) if names
             else loader.loadTestsFromModule(mod))
    result = Result(sys.stdout)
    suite.run(result)
    print(f"1..{result.number}", flush=True)
    sys.exit(0 if result.wasSuccessful() else 1)
