# SPDX-License-Identifier: BSD-2-Clause
"""Draws bars: a group a variant, a bar a series, a line from the first to the third quartile; as SVG."""

import statistics

COLOURS = ("#3070b0", "#d08030", "#208050", "#7040a0")
WIDTH, LEFT, BAR, GAP, TOP = 760, 190, 13, 9, 46


def quartiles(values):
    if len(values) < 4:
        return min(values), max(values)
    low, _, high = statistics.quantiles(values, n=4)
    return low, high


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")


def bars(path, title, unit, groups):
    """groups: {variant: {series: [values]}}; shorter is better in all that is drawn here."""
    series = list(dict.fromkeys(s for group in groups.values() for s in group))
    most = max(max(quartiles(v)[1], statistics.median(v)) for group in groups.values() for v in group.values())
    scale = (WIDTH - LEFT - 70) / most
    height = TOP + sum(len(g) * BAR + GAP for g in groups.values()) + 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
           'font-size="11">', '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="10" y="16" font-size="13" font-weight="bold">{escape(title)}, {escape(unit)}</text>']
    for n, name in enumerate(series if len(series) > 1 else ()):
        x = LEFT + n * 160
        out += [f'<rect x="{x}" y="25" width="10" height="10" fill="{COLOURS[n]}"/>',
                f'<text x="{x + 14}" y="34">{escape(name)}</text>']
    y = TOP
    for variant, group in groups.items():
        middle = y + len(group) * BAR / 2 + 4
        weight = ' font-weight="bold"' if variant.startswith("sally") else ""
        out.append(f'<text x="{LEFT - 8}" y="{middle:.1f}" text-anchor="end"{weight}>{escape(variant)}</text>')
        for name, values in group.items():
            median = statistics.median(values)
            low, high = (LEFT + v * scale for v in quartiles(values))
            centre = y + BAR / 2 - 1
            out += [f'<rect x="{LEFT}" y="{y}" width="{median * scale:.1f}" height="{BAR - 2}" '
                    f'fill="{COLOURS[series.index(name)]}"/>',
                    f'<line x1="{low:.1f}" y1="{centre}" x2="{high:.1f}" y2="{centre}" stroke="black"/>',
                    f'<text x="{max(high, LEFT + median * scale) + 5:.1f}" y="{y + BAR - 3}">{median:,.0f}</text>']
            y += BAR
        y += GAP
    out.append("</svg>")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")


def picked(found, metrics):
    """Variants that have one of these metrics, under the metrics' titles."""
    groups = {}
    for (variant, metric), values in found.items():
        if metric in metrics:
            groups.setdefault(variant, {})[metrics[metric]] = values
    return groups


def packets(found, kind):
    groups = {}
    for (k, variant, flows), values in sorted(found.items(), key=lambda item: item[0][2]):
        if k == kind:
            many = "a million" if flows == 1000000 else f"{flows:,} conversations"
            groups.setdefault(variant, {})[many if kind in ("established", "engine") else "new"] = values
    return groups


CHARTS = (
    # part, file, title, unit, what
    ("packets", "forwarded", "Forwarded 64-byte packets, one core that also makes them", "ns a packet", "established"),
    ("packets", "new", "New conversations: every packet one", "ns a packet", "new"),
    ("packets", "come", "New conversations from the outside: every packet one", "ns a packet", "come"),
    ("packets", "engine", "The XDP program alone", "ns a packet", "engine"),
    ("host", "bulk", "A server's TCP in bulk, both ends", "processor time, ns/KiB",
     {"in_ns_kib": "to the server", "out_ns_kib": "from the server"}),
    ("host", "answers", "A server's small answers, both ends", "processor time, ns", {"tcp_ns": "TCP", "udp_ns": "UDP"}),
    ("web", "web", "Connect, request, close through the gateway", "processor time, ns a connection", {"ns": "all"}),
    ("memory", "memory", "Memory of one more conversation", "bytes", {"more": "bytes"}),
)


def save(folder, found):
    """Writes what there are figures for; the names of the files."""
    written = []
    for part, name, title, unit, what in CHARTS:
        if part not in found:
            continue
        groups = packets(found[part], what) if part == "packets" else picked(found[part], what)
        if groups:
            bars(f"{folder}/{name}.svg", title, unit, groups)
            written.append((name, title))
    return written
