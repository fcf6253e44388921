# SPDX-License-Identifier: BSD-2-Clause
"""The bench's figures as a table and as JSON."""

import json
import os
import statistics
import subprocess

TITLES = {
    "established": "Forwarded packets of answered conversations (64-byte UDP, one core that also generates)",
    "new": "New conversations: every packet another sender's port",
    "come": "New conversations from the outside, let in by one line: to a host (translating: to a forwarded port)",
    "engine": "The XDP program alone (BPF test run, less an empty program)",
}


def spread(values):
    """Half the distance between the quartiles, in percent of the median."""
    if len(values) < 4:
        return (max(values) - min(values)) / 2 / statistics.median(values) * 100
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / statistics.median(values) * 100


def peer(found, kind, name, flows):
    """nftables doing the same job, with as many flows or the most that it could hold."""
    if not name.startswith("sally"):
        return None
    other = "nftables masquerade" if "translating" in name else "nftables stateful"
    known = [n for k, v, n in found if k == kind and v == other and n <= flows]
    return found[(kind, other, max(known))] if known else None


def rows(found):
    for (kind, name, flows), values in sorted(found.items(), key=lambda i: (i[0][0] != "established", i[0][0], i[0][2])):
        middle = statistics.median(values)
        beside = peer(found, kind, name, flows)
        yield {"kind": kind, "name": name, "flows": flows, "ns": round(middle, 1),
               "spread_percent": round(spread(values), 1), "mpps": round(1000 / middle, 3),
               "times_nftables": round(statistics.median(beside) / middle, 2) if beside else None,
               "all_ns": [round(v, 1) for v in values]}


def table(found):
    lines, last = [], None
    for r in rows(found):
        if (r["kind"], r["flows"]) != last:
            if not last or r["kind"] != last[0]:
                lines += ["", TITLES[r["kind"]], "",
                          f"{'':30} {'flows':>9} {'ns/packet':>10} {'spread':>7} {'Mpps':>7}  beside nftables"]
            last = (r["kind"], r["flows"])
        ratio = f"{r['times_nftables']:.2f} times" if r["times_nftables"] else ""
        columns = f"{r['flows']:9} {r['ns']:10.0f} {r['spread_percent']:6.1f}% {r['mpps']:7.3f}"
        lines.append(f"{r['name']:30} {columns}  {ratio}".rstrip())
    return "\n".join(lines)


def beside(found, name, metric):
    """How many times the first variant's value, round by round."""
    first = next(iter(found))[0]
    pairs = list(zip(found[name, metric], found.get((first, metric), ())))
    if name == first or not pairs or not all(b for _, b in pairs):
        return None
    return round(statistics.median(a / b for a, b in pairs), 3)


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def part(name, found, module):
    """The tables of a part, as text."""
    if name == "packets":
        return table(found)
    lines = []
    ratios = getattr(module, "RATIO", True)
    for title, metrics in module.TABLES:
        variants = list(dict.fromkeys(v for v, m in found if m in metrics))
        width = max(map(len, variants), default=0) + 2
        lines += ["", title + ("; (times the first line, round by round)" if ratios else ""), "",
                  " " * width + "".join(f"{heading:>12}{'':8}" for heading in metrics.values()).rstrip()]
        for variant in variants:
            cells = ""
            for metric in metrics:
                values = found.get((variant, metric))
                ratio = beside(found, variant, metric) if values and ratios else None
                cells += f"{number(statistics.median(values)):>12}" if values else " " * 12
                cells += f" ({ratio:.3f})" if ratio else " " * 8
            lines.append(f"{variant:{width}}{cells}".rstrip())
    return "\n".join(lines)


def figures(found):
    for (variant, metric), values in found.items():
        yield {"name": variant, "metric": metric, "median": round(statistics.median(values), 3),
               "spread_percent": round(spread(values), 1) if all(values) else None,
               "times_first": beside(found, variant, metric), "all": [round(v, 3) for v in values]}


def first_line(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    return (done.stdout.splitlines() or [""])[0]


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {"processor": names[0] if names else "unknown", "processors": os.cpu_count(),
            "kernel": os.uname().release.split("-")[0], "load": os.getloadavg()[0],
            "nftables": first_line("nft", "--version"),
            "commit": first_line("git", "-C", os.path.dirname(os.path.abspath(__file__)), "describe", "--always", "--dirty")}


def page(folder, found, modules, plots):
    """results.md: tables and plots of one run."""
    m = machine()
    with open(os.path.join(folder, "results.md"), "w", encoding="utf-8") as file:
        file.write("# Results of one run\n\nWritten by the bench; `results.json` has every single measurement, "
                   "`README.md` says how to read them.\n\n"
                   f"{m['processor']}, {m['processors']} processors (load when it ended: {m['load']:.0f}), "
                   f"Linux {m['kernel']}, {m['nftables'].split(' (')[0]}, commit {m['commit']}.\n")
        for name, values in found.items():
            file.write("\n```" + part(name, values, modules.get(name)).rstrip() + "\n```\n")
        for name, title in plots:
            file.write(f"\n![{title}]({name}.svg)\n")


def save(path, found, options):
    # without folders of that machine
    options = {name: value for name, value in options.items() if name not in ("json", "out")}
    whole = {"machine": machine(), "options": options}
    for name, values in found.items():
        whole["rows" if name == "packets" else name] = list(rows(values) if name == "packets" else figures(values))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(whole, file, indent=1)
        file.write("\n")
