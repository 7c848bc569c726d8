"""python -m benchmarks.blocklist [--entries N]: memory of a list, URLs/s, and the time to load it.

Entries and URLs are made up, every host another one, so that nothing is remembered; a tenth of the URLs is listed.
Beside it: a frozenset of domains, asked for each suffix of the host that urlsplit finds.
"""

import argparse
import random
import string
import tempfile
import time
import tracemalloc
from pathlib import Path
from urllib.parse import urlsplit

from pipeline import blocklist


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--urls", type=int, default=200_000)
    names = parser.parse_args()
    rng = random.Random(0)
    domains = [domain(rng) for _ in range(names.entries)]
    urls = [url(rng, rng.choice(domains) if k % 10 == 0 else domain(rng)) for k in range(names.urls)]
    print(f"{names.entries:,} entries, {names.urls:,} URLs\n")
    print(f"{'':<24}{'load s':>8}{'MB':>8}{'peak MB':>9}{'URLs/s':>12}{'blocked':>10}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "domains"
        path.write_text("\n".join(domains))
        show("sorted hashes", len(urls), lambda: blocklist.load([str(path)]), lambda found: found.blocks(urls).sum())
        show("frozenset, urlsplit", len(urls), lambda: frozenset(path.read_text().split("\n")), lambda found: sum(
            any(suffix in found for suffix in suffixes(u)) for u in urls))  # fmt: skip


def show(name: str, count: int, load, ask) -> None:
    begun = time.process_time()
    found = load()
    loading = time.process_time() - begun
    ask(found)
    begun = time.process_time()
    blocked = ask(found)
    asking = time.process_time() - begun
    del found
    tracemalloc.start()
    found = load()
    ask(found) if isinstance(found, blocklist.Blocklist) else None
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{name:<24}{loading:>8.2f}{size / 1e6:>8.1f}{peak / 1e6:>9.1f}{count / asking:>12,.0f}{blocked:>10,}")


def suffixes(url: str) -> list[str]:
    labels = (urlsplit(url).hostname or "").split(".")
    return [".".join(labels[k:]) for k in range(len(labels))]


def domain(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_lowercase + "-", k=rng.randint(6, 18))).strip("-") + rng.choice(
        (".com", ".org", ".net", ".co.uk", ".de")
    )


def url(rng: random.Random, host: str) -> str:
    path = "/".join("".join(rng.choices(string.ascii_lowercase, k=8)) for _ in range(rng.randint(0, 4)))
    return f"https://{rng.choice(('www.', 'news.', 'a.b.', ''))}{host}/{path}"


if __name__ == "__main__":
    main()
