# SPDX-License-Identifier: GPL-2.0-only
"""usage: taskmon-plot.py CHECK PICTURE.svg PICTURE.png

Looks at the pixels of a picture of taskmon: where something is, the SVG says; what is seen there, the PNG does."""

import re
import struct
import sys
import xml.etree.ElementTree
import zlib

NAMESPACE = "{http://www.w3.org/2000/svg}"


class Png:
    """The pixels of a PNG as librsvg writes them: 8 bits of red, green, blue and perhaps alpha, not interlaced."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        assert data[:8] == b"\x89PNG\r\n\x1a\n", path
        at, packed = 8, b""
        while at < len(data):
            length, kind = struct.unpack(">I4s", data[at : at + 8])
            chunk = data[at + 8 : at + 8 + length]
            if kind == b"IHDR":
                self.width, self.height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunk)
                assert depth == 8 and interlaced == 0 and colour in (2, 6), (depth, colour)
                bytes_each = 4 if colour == 6 else 3
            elif kind == b"IDAT":
                packed += chunk
            at += 12 + length
        raw = zlib.decompress(packed)
        stride = self.width * bytes_each
        self.rows = []
        before = bytearray(stride)
        for y in range(self.height):
            kind = raw[y * (stride + 1)]
            line = bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
            for i in range(stride):
                left = line[i - bytes_each] if i >= bytes_each else 0
                above = before[i]
                corner = before[i - bytes_each] if i >= bytes_each else 0
                if kind == 1:
                    line[i] = (line[i] + left) & 255
                elif kind == 2:
                    line[i] = (line[i] + above) & 255
                elif kind == 3:
                    line[i] = (line[i] + (left + above) // 2) & 255
                elif kind == 4:
                    guess = left + above - corner
                    near = min((abs(guess - left), 0, left), (abs(guess - above), 1, above), (abs(guess - corner), 2, corner))
                    line[i] = (line[i] + near[2]) & 255
            before = line
            self.rows.append([tuple(line[i : i + 3]) for i in range(0, stride, bytes_each)])

    def area(self, left, top, right, bottom):
        """All pixels in it, column by column."""
        columns = range(max(0, round(left)), min(self.width, round(right)))
        return [[self.rows[y][x] for y in range(max(0, round(top)), min(self.height, round(bottom)))] for x in columns]


def grey(pixel):
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]


def blue(pixel):
    return pixel[2] - pixel[0] > 60


class Picture:
    def __init__(self, svg, png):
        self.root = xml.etree.ElementTree.parse(svg).getroot()
        self.png = Png(png)
        self.scale = self.png.width / float(self.root.get("width"))
        assert abs(self.png.height - self.scale * float(self.root.get("height"))) <= 1
        # The panels: from the highest line of the grid to the axis.
        self.panels = []
        for group in self.root.findall(NAMESPACE + "g"):
            lines = [
                {key: float(line.get(key)) for key in ("x1", "y1", "x2", "y2")} | {"stroke": line.get("stroke")}
                for line in group.findall(NAMESPACE + "line")
            ]
            level = [line for line in lines if line["y1"] == line["y2"]]
            axis = [line for line in level if line["stroke"] == "#444444"]
            top = min(line["y1"] for line in level)
            self.panels.append((axis[0]["x1"], top, axis[0]["x2"], axis[0]["y1"]))

    def area(self, left, top, right, bottom):
        return self.png.area(*(self.scale * edge for edge in (left, top, right, bottom)))

    def part(self, panel, left, top, right, bottom):
        """What of a panel is between these parts of it, from its left and its upper edge."""
        x1, y1, x2, y2 = panel
        width, height = x2 - x1, y2 - y1
        return self.area(x1 + left * width, y1 + top * height, x1 + right * width, y1 + bottom * height)

    def paths(self, key, pattern):
        return [path for path in self.root.iter(NAMESPACE + "path") if re.fullmatch(pattern, path.get(key) or "")]


def ground(picture):
    png = picture.png
    corners = [png.rows[y][x] for x in (0, -1) for y in (0, -1)]
    assert corners == [(255, 255, 255)] * 4, corners
    ink = sum(grey(pixel) < 200 for row in png.rows for pixel in row)
    assert 0.002 < ink / png.width / png.height < 0.5, ink


def peak(picture):
    # Of 100,000 samples, the 61,804th: high up in the panels of CPU usage and memory, in a few pixels and nowhere else.
    for panel, top, bottom in [(picture.panels[0], 0.1, 0.6), (picture.panels[1], 0.3, 0.5)]:
        seen = [x for x, column in enumerate(picture.part(panel, 0, top, 1, bottom)) if sum(map(blue, column)) > len(column) / 2]
        width = (panel[2] - panel[0]) * picture.scale
        assert seen and seen[-1] - seen[0] <= 4, seen
        assert abs(seen[0] - width * 61803 / 99999) <= 4, (seen, width)


def gaps(picture):
    # From 45.5 to 76 s of 97: no colour, some grey, and mostly white. Beside it there is colour.
    for panel in picture.panels[:2]:
        inside = [pixel for column in picture.part(panel, 46.5 / 97, 0, 75 / 97, 0.98) for pixel in column]
        assert all(max(pixel) - min(pixel) < 12 for pixel in inside), "there is colour"
        lines = sum(grey(pixel) < 225 for pixel in inside) / len(inside)
        assert 0.08 < lines < 0.5, lines
        beside = [pixel for column in picture.part(panel, 40 / 97, 0.8, 45 / 97, 0.98) for pixel in column]
        assert any(max(pixel) - min(pixel) >= 12 for pixel in beside), "there is no colour beside it"


def major(picture):
    x1, _, x2, bottom = picture.panels[0]
    columns = picture.area(x1 - 4, bottom + 1, x2 + 4, bottom + 8)
    red = [any(pixel[0] - pixel[2] > 100 for pixel in column) for column in columns]
    marks = sum(now and not before for before, now in zip([False] + red, red))
    assert marks == 7, marks


def exit_is_seen(picture):
    # A line down the panel, at its right edge.
    x1, top, x2, bottom = picture.panels[0]
    columns = picture.area(x2 - 2, top + 8, x2 + 3, bottom - 2)
    assert any(all(grey(pixel) < 150 for pixel in column) for column in columns)


def shades(picture):
    # The first two signs of the legend.
    user, system = [grey(picture.area(x + 5, 54, x + 6, 55)[0][0]) for x in legend(picture)[:2]]
    assert user - system >= 45, (user, system)
    assert 255 - user >= 40, user


def legend(picture):
    """Where the signs are: 20 to the left of their texts."""
    return [float(text.get("x")) - 20 for text in picture.root.findall(NAMESPACE + "text") if text.get("y") == "62"]


def neighbours(picture):
    greys = []
    for path in picture.paths("stroke-width", "2.2"):
        x, y = map(float, re.match(r"M([\d.]+) ([\d.]+)H", path.get("d")).groups())
        greys.append(min(grey(pixel) for column in picture.area(x, y - 1, x + 22, y + 2) for pixel in column))
    assert len(greys) >= 4, greys
    # (Those beside the panels of CPU usage come first, then, in another order, those of memory.)
    beside = greys[: len(greys) // 2]
    assert all(abs(a - b) >= 25 for a, b in zip(beside, beside[1:])), beside
    assert all(level < 190 for level in greys), greys


def main():
    check, svg, png = sys.argv[1:]
    checks = {
        "ground": ground,
        "peak": peak,
        "gaps": gaps,
        "major": major,
        "exit": exit_is_seen,
        "shades": shades,
        "neighbours": neighbours,
    }
    checks[check](Picture(svg, png))


main()
