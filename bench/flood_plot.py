# SPDX-License-Identifier: BSD-2-Clause
"""Draws the flood curve: throughput above, success below, a line a variant, as SVG."""

import statistics

COLOURS = ["#b03030", "#d08030", "#3070b0", "#208050", "#7040a0"]
WIDTH, HEIGHT, LEFT, TOP, GAP = 640, 190, 60, 30, 60


def value_of(points, kind):
    if kind == "mbit":
        return statistics.median(p["mbit"] for p in points)
    return 100 * sum(p["greeted"] for p in points) / max(1, sum(p["tried"] for p in points))


def panel(out, found, rates, names, kind, most, title, top):
    step = (WIDTH - LEFT - 20) / max(1, len(rates) - 1)
    out.append(f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{title}</text>')
    for part in range(5):
        y = top + HEIGHT - HEIGHT * part / 4
        out.append(f'<line x1="{LEFT}" y1="{y:.0f}" x2="{WIDTH - 20}" y2="{y:.0f}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{most * part / 4:.0f}</text>')
    for n, name in enumerate(names):
        dots = []
        for i, rate in enumerate(rates):
            points = found.get((name, rate))
            if points:
                dots.append((LEFT + i * step, top + HEIGHT - HEIGHT * min(1, value_of(points, kind) / most)))
        path = " ".join(f"{x:.0f},{y:.0f}" for x, y in dots)
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[n]}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{COLOURS[n]}"/>' for x, y in dots]
    for i, rate in enumerate(rates):
        word = "no flood" if rate is None else "highest" if rate == 0 else f"{rate // 1000}k/s"
        out.append(f'<text x="{LEFT + i * step:.0f}" y="{top + HEIGHT + 16}" text-anchor="middle">{word}</text>')


def save(path, found, rates, names, mbit):
    height = 2 * (HEIGHT + GAP) + TOP + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 20}" height="{height}" font-family="sans-serif" '
           'font-size="11">', '<rect width="100%" height="100%" fill="white"/>']
    panel(out, found, rates, names, "mbit", mbit, "Established transfer, Mbit/s", TOP)
    panel(out, found, rates, names, "greeted", 100, "New honest connections that succeed, %", TOP + HEIGHT + GAP)
    for n, name in enumerate(names):
        x, y = LEFT + n * 118, height - 14
        out.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{COLOURS[n]}"/>')
        out.append(f'<text x="{x + 14}" y="{y}">{name}</text>')
    out.append("</svg>")
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(out) + "\n")
