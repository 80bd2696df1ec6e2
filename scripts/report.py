#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts the results in meson's testlog.json files and prints what failed.

usage: report.py NAME TESTLOG...   (exit status 1 if anything failed or nothing ran)
"""

import json
import re
import sys


def count(entry):
    """(passed, failed, skipped) of one meson test; TAP lines count one by one."""
    lines = (entry.get("stdout") or "").splitlines()
    ok = [x for x in lines if re.match(r"ok \d+", x)]
    skipped = sum(1 for x in ok if re.search(r"# SKIP", x, re.I))
    bad = sum(1 for x in lines if re.match(r"not ok \d+", x))
    good = entry["result"] in ("OK", "EXPECTEDFAIL")
    if entry["result"] == "SKIP":
        return 0, 0, max(skipped, 1)
    if not good and not bad:
        bad = 1
    if good and not ok:
        return 1, 0, 0
    return len(ok) - skipped, bad, skipped


def main():
    passed = failed = skipped = 0
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as log:
            for line in log:
                entry = json.loads(line)
                p, f, s = count(entry)
                passed, failed, skipped = passed + p, failed + f, skipped + s
                print(f"{entry['name']:45} {entry['result']:8} {p:4} passed {f:3} failed {s:3} "
                      f"skipped  {entry['duration']:6.1f} s")
                for text in (entry.get("stdout") or "").splitlines():
                    # The VM tests' remarks are measurements; other tests' only help a failure.
                    if re.match(r"(not ok|Bail out)", text) or (
                            text.startswith("# ") and (f or " / vm-" in entry["name"])):
                        print(f"    {text}")
                if f:
                    for text in (entry.get("stderr") or "").splitlines()[-60:]:
                        print(f"    ! {text}")
    print(f"{sys.argv[1]}: {passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
