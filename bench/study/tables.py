"""tables.py STUDY OUT - what run.sh has trained, as tables and pictures.

Reads the events of the runs under STUDY and writes OUT/*.csv, from which
build/plot (PLOT) makes OUT/*.svg, and STUDY/tables.md, the tables of
docs/numerics.md. Only Python's own library is needed."""

import csv
import json
import os
import subprocess
import sys

ORDER = ["wide", "fast", "bare", "scaled", "dynamic", "window"]
PLOT = os.environ.get("PLOT", "build/plot")


def read(study, part):
    """Runs that are done: {(width, arithmetic): {held_out, steps, evals, ...}}."""
    runs = {}
    folder = os.path.join(study, part)
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        events = os.path.join(folder, name, "events.jsonl")
        judged = os.path.join(folder, name + ".json")
        if not os.path.exists(events) or not os.path.exists(judged):
            continue
        run = {"steps": {}, "evals": {}}
        for line in open(events):
            e = json.loads(line)
            if e["kind"] == "step":
                run["steps"][e["step"]] = e
            elif e["kind"] == "eval":
                run["evals"][e["step"]] = e["held_out"]
            elif e["kind"] == "start":
                run["params"] = e["params"]
            elif e["kind"] == "done":
                run["held_out"] = e["held_out"]
        run["judged"] = json.load(open(judged))["held_out"]
        width, arithmetic = name.split("-")
        runs[int(width), arithmetic] = run
    return runs


def smooth(steps, at, over=10):
    """Mean training loss of the updates up to this one."""
    near = [steps[s]["loss"] for s in range(at - over + 1, at + 1) if s in steps]
    return sum(near) / len(near) if near else None


def write(out, name, head, rows, **axes):
    path = os.path.join(out, name + ".csv")
    with open(path, "w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(head)
        w.writerows(["" if v is None else v for v in row] for row in rows)
    if not axes:
        return
    words = [PLOT]
    for key, value in axes.items():
        words += ["--" + key] if value is True else ["--" + key, value]
    with open(path) as table, open(os.path.join(out, name + ".svg"), "w") as svg:
        subprocess.run(words, stdin=table, stdout=svg, check=True)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(v) for v in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def against(loss, wide):
    return f"{loss:.4f} ({100 * (loss / wide - 1):+.2f} %)"


def outcome(runs, key):
    """A row for each width: held-out loss, and how far above wide's."""
    for width in sorted({w for w, _ in runs}):
        wide = runs.get((width, "wide"))
        if not wide:
            continue
        yield width, [against(runs[width, a][key], wide[key]) if (width, a) in runs else "-"
                      for a in ORDER]


def grid(runs, out):
    text = ""
    for key, what in (("held_out", "judged in the arithmetic it was trained in"),
                      ("judged", "judged in `wide`")):
        rows = [[w] + row for w, row in outcome(runs, key)]
        text += f"\nHeld-out loss, nats a byte, {what}:\n\n" + table(["width"] + ORDER, rows)
    rows = []
    for (width, arithmetic), run in sorted(runs.items()):
        ms = sum(e["ms"] for e in run["steps"].values())
        rows.append([width, arithmetic, run["params"], len(run["steps"]), run["held_out"],
                     run["judged"], round(ms / 1000)])
    write(out, "grid", ["width", "arithmetic", "params", "updates", "held_out",
                        "held_out_wide", "seconds"], rows)
    for width in sorted({w for w, _ in runs}):
        names = [a for a in ORDER if (width, a) in runs]
        last = max(max(runs[width, a]["steps"]) for a in names)
        rows = [[s] + [smooth(runs[width, a]["steps"], s) for a in names]
                for s in range(10, last + 1, 5)]
        write(out, f"curve-{width}", ["update"] + names, rows, x="update",
              title=f"Training loss, 4 layers of {width}", y="nats a byte, mean of 10 updates")
    return text


def seeds(study, first):
    """How far above wide's each seed ends, by width: what is chance, and what is not."""
    found, text = {"1": first}, ""
    for part in sorted(os.listdir(study)):
        if part.startswith("seed"):
            found[part[4:]] = read(study, part)
    widths = {w for seed, runs in found.items() if seed != "1" for w, a in runs if a == "wide"}
    for width in sorted(widths):
        rows, off = [], {"fast": [], "window": []}
        for seed, runs in found.items():
            wide = runs.get((width, "wide"))
            if not wide:
                continue
            row = [seed, f"{wide['held_out']:.4f}"]
            for a in off:
                run = runs.get((width, a))
                row.append(against(run["held_out"], wide["held_out"]) if run else "-")
                if run:
                    off[a].append(100 * (run["held_out"] / wide["held_out"] - 1))
            rows.append(row)
        mean = ["mean", ""] + [f"{sum(v) / len(v):+.2f} %" if v else "-" for v in off.values()]
        text += (f"\nHeld-out loss, 4 layers of {width}, by seed:\n\n" +
                 table(["seed", "wide"] + list(off), rows + [mean]))
    return text


def shares(run, step):
    """{(name, kind): part of the products that was dropped} of one update."""
    return {(c["name"], c["kind"]): c["dropped"] / c["products"]
            for c in run["steps"][step].get("counts", []) if c["products"]}


def drops(runs, out):
    width = max((w for w, a in runs if a == "bare"), default=0)
    runs = {a: runs[width, a] for a in ("bare", "scaled", "window") if (width, a) in runs}
    if not runs:
        return ""
    ways = ["forward", "dx", "dw"]
    head, columns = ["update"], []
    for a in runs:
        for way in ways:
            points = {}
            for s, e in runs[a]["steps"].items():
                of = [c for c in e.get("counts", []) if c["kind"] == way]
                products = sum(c["products"] for c in of)
                if products:
                    points[s] = sum(c["dropped"] for c in of) / products
            if points:
                head.append(f"{a} {way}")
                columns.append(points)
    steps = sorted(set().union(*columns))
    write(out, "drops", head, [[s] + [c.get(s) for c in columns] for s in steps], x="update",
          y="part of the products dropped", title=f"Products dropped, 2 layers of {width}")
    rows, last = [], min(max(r["steps"]) for r in runs.values())
    marks = [s for s in (1, 10, last) if s <= last]
    kinds = list(shares(next(iter(runs.values())), last))
    for kind in kinds:
        row = [f"{kind[0]} {kind[1]}"]
        for a in runs:
            for s in marks:
                part = shares(runs[a], s).get(kind)
                row.append("-" if part is None else f"{100 * part:.1f}")
        rows.append(row)
    head = ["product"] + [f"{a} {s}" for a in runs for s in marks]
    return f"\nProducts dropped, 2 layers of {width}, per cent, by update:\n\n" + table(head, rows)


def widths(study, out):
    """By tokens an update and width, 2 layers, 100 updates: per cent above wide."""
    names, rows, text = ["bare", "scaled", "dynamic", "window"], [], ""
    for batch in (1, 4, 16):
        runs = read(study, f"batch{batch}")
        for width in sorted({w for w, a in runs if a == "wide"}):
            wide = runs[width, "wide"]["judged"]
            rows.append([batch * 128, width] +
                        [100 * (runs[width, a]["judged"] / wide - 1) if (width, a) in runs
                         else None for a in names])
    if not rows:
        return ""
    write(out, "widths", ["tokens", "width"] + names, rows)
    text += "\nHeld-out loss after 100 updates, 2 layers, per cent above `wide`:\n\n"
    return text + table(["tokens an update", "width"] + names,
                        [r[:2] + ["-" if v is None else f"{v:+.1f}" for v in r[2:]]
                         for r in rows])


def sums(study, out):
    path = os.path.join(study, "sums.csv")
    if not os.path.exists(path):
        return ""
    rows = list(csv.DictReader(open(path)))
    kinds = list(dict.fromkeys(r["kind"] for r in rows))
    ks = list(dict.fromkeys(r["k"] for r in rows))
    head, body = ["k"], [[k] for k in ks]
    for how in ("exact", "window"):
        for kind in kinds:
            head.append(f"{kind} {how}")
            of = {r["k"]: r[how] for r in rows if r["kind"] == kind}
            for row in body:
                row.append(of[row[0]])
    write(out, "sums", head, body, logx=True, logy=True, x="products in a sum",
          y="relative error", title="Error of one product of matrices")
    return "\n" + table(list(rows[0]), [list(r.values()) for r in rows])


def main():
    study, out = sys.argv[1:]
    os.makedirs(out, exist_ok=True)
    first = read(study, "grid")
    text = grid(first, out) + seeds(study, first) + drops(read(study, "batch16"), out)
    text += widths(study, out) + sums(study, out)
    with open(os.path.join(study, "tables.md"), "w") as f:
        f.write(text.lstrip("\n"))


if __name__ == "__main__":
    main()
