#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes modules/core/event/text/unseen.h, the characters without a visible glyph of their own, from the Unicode database.

    python3 -m venv build/unicode && build/unicode/bin/pip install unicodedata2 && build/unicode/bin/python scripts/unicode.py

Without unicodedata2, the database is that of Python, which may be older. Characters that it does not know are unseen.
"""
import os
import re

try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata

# Control characters, format characters, surrogates, private use, unassigned, and all white space except the blank.
UNSEEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"}
# What has another category, and no glyph or an empty one. The first line has all such characters that the property
# Default_Ignorable_Code_Point has; that property is not in Python's database.
UNSEEN_NAMES = re.compile(
    r"VARIATION SELECTOR|COMBINING GRAPHEME JOINER|KHMER VOWEL INHERENT|HANGUL (\w+ )?FILLER"
    r"|SCRIPT FILLER|BRAILLE PATTERN BLANK|HIEROGLYPH (FULL|HALF) BLANK|HIEROGLYPH MIRROR|NULL NOTEHEAD"
    r"|CONSONANT JOINER|NUMBER JOINER|OBJECT REPLACEMENT CHARACTER")
# Characters that are drawn over or under the one before them.
MARK_CATEGORIES = {"Mn", "Me"}


def kind_of(code_point):
    character = chr(code_point)
    if character == " ":
        return None
    if unicodedata.category(character) in UNSEEN_CATEGORIES or UNSEEN_NAMES.search(unicodedata.name(character, "")):
        return "unseen"
    return "marks" if unicodedata.category(character) in MARK_CATEGORIES else None


def ranges_of(kind, kinds):
    ranges = []
    for code_point, found in enumerate(kinds):
        if found != kind:
            continue
        if ranges and ranges[-1][1] == code_point - 1:
            ranges[-1][1] = code_point
        else:
            ranges.append([code_point, code_point])
    return ranges


def main():
    kinds = [kind_of(code_point) for code_point in range(0x110000)]
    text = ("// SPDX-License-Identifier: Apache-2.0\n"
            "//\n"
            f"// Written by scripts/unicode.py from the database of Unicode {unicodedata.unidata_version}. Included by text.cpp.\n"
            "#pragma once\n"
            "\n"
            "namespace annals {\n"
            "\n"
            "struct code_points {\n"
            "  char32_t first;\n"
            "  char32_t last;\n"
            "};\n")
    for kind, what in (("unseen", "Characters that have no glyph of their own, an empty one, or none that is defined."),
                       ("marks", "Characters that are drawn over or under the one before them.")):
        ranges = ranges_of(kind, kinds)
        text += f"\n// {what}\n// clang-format off\nconstexpr std::array<code_points, {len(ranges)}> {kind} = {{{{"
        line = ""
        for first, last in ranges:
            item = f"{{0x{first:x}, 0x{last:x}}}, "
            if len(line) + len(item) > 136:
                text += "\n    " + line.rstrip()
                line = ""
            line += item
        text += "\n    " + line.rstrip(", ") + ",\n}};\n// clang-format on\n"
    path = os.path.join(os.path.dirname(__file__), "..", "modules/core/event/text/unseen.h")
    with open(path, "w", encoding="ascii") as file:
        file.write(text + "\n}  // namespace annals\n")


main()
