"""table.py POLICIES - what run.sh has trained, a row for each run.

Reads the events of the runs and prints the table of docs/weights.md. Only
Python's own library is needed."""

import json
import os
import sys

ORDER = ["streamed", "resident", "baked", "streamed-10", "baked-10"]


def read(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path + ".json"):
        return None
    run = {"loads": 0, "rebakes": 0, "images": 1, "losses": [], "start": {}}
    for line in open(os.path.join(path, "events.jsonl")):
        e = json.loads(line)
        if e["kind"] == "start":
            run["start"] = e
        elif e["kind"] == "step":
            run["losses"].append(e["loss"])
            run["rebakes"] += e.get("compiles", 0)
        elif e["kind"] == "restart" and e.get("memory"):
            run["images"] += 1
        elif e["kind"] == "done":
            run["held_out"] = e["held_out"]
    run["judged"] = json.load(open(path + ".json"))["held_out"]
    return run


def main(out):
    print("| part | run | updates | passes an update | held out | in fp32 | "
          "last losses | images | compiles in steps |")
    print("|---|---|---|---|---|---|---|---|---|")
    for part in ["whole", "fast", "exact", "long"]:
        for name in ORDER:
            run = read(os.path.join(out, part), name)
            if not run:
                continue
            last = run["losses"][-10:]
            print(f"| {part} | {name} | {len(run['losses'])} | {run['start']['accum']} | "
                  f"{run['held_out']:.4f} | {run['judged']:.4f} | "
                  f"{sum(last) / len(last):.4f} | {run['images']} | {run['rebakes']} |")


main(sys.argv[1])
