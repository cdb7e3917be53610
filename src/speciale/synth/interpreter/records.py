"""Clean rows, and the untidy files that are made of them: mixed dates and units, copies, gaps.

Questions are answered from the clean rows; whoever reads the files has to find them again.
NOTES.txt says how, so that each question has one answer.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from speciale.synth.interpreter.themes import THEMES, Theme
from speciale.synth.interpreter.wording import cell

_DATES = ("%Y-%m-%d", "%d/%m/%Y", "%d %b %Y", "%Y%m%d", "%d.%m.%Y", "%b %d, %Y")
_DATES_SAID = {
    "%Y-%m-%d": "2024-03-25", "%d/%m/%Y": "25/03/2024 (the day first)", "%d %b %Y": "25 Mar 2024",
    "%Y%m%d": "20240325", "%d.%m.%Y": "25.03.2024", "%b %d, %Y": "Mar 25, 2024",
}  # fmt: skip
_OWNERS = ("Association", "Board", "Cooperative", "Council", "Group", "Institute", "Partners",
           "Society", "Trust", "Union", "Works")  # fmt: skip
_GAPS = ("", "NA", "n/a", "-", "?")


@dataclass(frozen=True)
class Row:
    """A row that counts. `amount`: in the small unit."""

    id: int
    day: date
    site: str
    kind: str
    amount: int


@dataclass(frozen=True)
class Site:
    name: str
    region: str
    size: int


@dataclass(frozen=True)
class Records:
    """`rows` by date and id; `goals`: for each region and month ("2024-03") an amount."""

    theme: Theme
    rows: list[Row]
    sites: list[Site]
    goals: dict[tuple[str, str], int]
    files: dict[str, str]
    owner: str
    load: str  # a cell that reads the rows back
    load_sites: str
    load_goals: str
    span: tuple[date, date] | None = None  # the days that the rows were picked from
    whole: Records | None = None  # before they were

    @property
    def months(self) -> list[str]:
        return sorted({f"{row.day:%Y-%m}" for row in self.rows})


def make_records(rng: Random) -> Records:
    theme = rng.choice(THEMES)
    regions = rng.sample(theme.regions, min(len(theme.regions), rng.randrange(4, 6)))
    names = sorted(rng.sample(theme.stems, rng.randrange(10, 17)))
    sites = [Site(name, rng.choice(regions), rng.randrange(12, 400)) for name in names]
    kinds = rng.sample(theme.kinds, min(len(theme.kinds), rng.randrange(4, 6)))
    start = date(rng.randrange(2018, 2025), rng.randrange(1, 8), rng.randrange(1, 28))
    days = rng.randrange(100, 230)
    rows = _rows(rng, start, days, sites, kinds, rng.randrange(250, 1_600))
    gaps = rng.sample(_GAPS, 2)
    sentinel = rng.choice([-999, 999_999, -1, 88_888_888])
    dates = rng.sample(_DATES, rng.randrange(2, 4))
    if "%Y-%m-%d" not in dates:
        dates[0] = "%Y-%m-%d"
    facts = _facts(rng, theme, rows, start, days, sites, kinds, gaps, sentinel, dates)
    lines = rng.random() < 0.5
    goals = _goals(rng, rows, sites)
    files = {
        f"{theme.facts}.csv": facts,
        f"{theme.sites}.{'jsonl' if lines else 'csv'}": _sites(rng, theme, sites, lines),
        "goals.sql": _goals_sql(theme, goals),
    }
    others = [stem for each in THEMES for stem in each.stems if stem not in names]
    owner = f"{rng.choice(others)} {rng.choice(_OWNERS)}"
    files["NOTES.txt"] = f"Data of {owner}.\n" + _notes(
        theme, files, gaps, sentinel, dates, regions
    )
    delimiter = ";" if facts.partition("\n")[0].count(";") else ","
    load = _load(theme, gaps, sentinel, dates, delimiter)
    return Records(
        theme, rows, sites, goals, dict(sorted(files.items())), owner, load,
        _load_sites(theme, lines), _load_goals(),
    )  # fmt: skip


def _rows(
    rng: Random, start: date, days: int, sites: list[Site], kinds: list[str], count: int
) -> list[Row]:
    weights = [1 + site.size / 200 + rng.random() for site in sites]
    large = {kind: rng.uniform(0.5, 3) for kind in kinds}
    trend = rng.uniform(-0.4, 0.8)
    rows = []
    for number in rng.sample(range(1_000, 1_000 + 4 * count), count):
        at = rng.randrange(days)
        site, kind = rng.choices(sites, weights)[0], rng.choice(kinds)
        amount = rng.lognormvariate(7, 0.7) * large[kind] * (1 + trend * at / days)
        rows.append(Row(number, start + timedelta(at), site.name, kind, max(20, round(amount))))
    return sorted(rows, key=lambda row: (row.day, row.id))


def _facts(
    rng: Random, theme: Theme, rows: list[Row], start: date, days: int, sites: list[Site],
    kinds: list[str], gaps: list[str], sentinel: int, dates: list[str],
) -> str:  # fmt: skip
    """The rows as people typed them in, and rows among them that do not count."""

    def typed(row: Row, amount: str | None = None, status: str = "ok") -> list[str]:
        kind = rng.choice([row.kind] * 3 + [row.kind.upper(), row.kind.title(), f" {row.kind} "])
        return [
            str(row.id), row.day.strftime(rng.choice(dates)),
            rng.choice([row.site] * 4 + [row.site.upper(), f"{row.site} "]), kind,
            _amount(rng, theme, row.amount) if amount is None else amount, status,
        ]  # fmt: skip

    lines = [typed(row) for row in rows]
    lines += [typed(row) for row in rng.sample(rows, len(rows) // 15)]  # copies
    used = {row.id for row in rows}
    free = [number for number in range(1_000, 1_000 + 6 * len(rows)) if number not in used]
    for number in rng.sample(free, len(rows) // 6):
        day = start + timedelta(rng.randrange(days))
        row = Row(number, day, rng.choice(sites).name, rng.choice(kinds), rng.randrange(50, 9_000))
        spoilt = rng.randrange(3)
        amount = [rng.choice(gaps), str(sentinel), None][spoilt]
        lines.append(typed(row, amount, theme.void if spoilt == 2 else "ok"))
    rng.shuffle(lines)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=rng.choice(",;"), lineterminator="\n")
    writer.writerow([theme.id, theme.date, theme.site, theme.kind, theme.amount, "status"])
    writer.writerows(lines)
    return out.getvalue()


def _amount(rng: Random, theme: Theme, amount: int) -> str:
    (large, factor), (small, _) = theme.units
    if factor == 1000 and rng.random() < 0.5:
        text = f"{amount // 1000}.{amount % 1000:03d}".rstrip("0").rstrip(".")
        return f"{text.replace('.', ',') if rng.random() < 0.3 else text} {large}"
    if factor != 1000 and rng.random() < 0.4:
        return f"{amount // 3600}:{amount % 3600 // 60:02d}:{amount % 60:02d}"
    return rng.choice([f"{amount} {small}", f"{amount}{small}", str(amount)])


def _sites(rng: Random, theme: Theme, sites: list[Site], lines: bool) -> str:
    keys = (theme.place, theme.region, theme.size)
    shuffled = rng.sample(sites, len(sites))
    if lines:
        rows = (dict(zip(keys, (s.name, s.region, s.size))) for s in shuffled)
        return "".join(json.dumps(row) + "\n" for row in rows)
    text = "".join(f"{site.name},{site.region},{site.size}\n" for site in shuffled)
    return ",".join(keys) + "\n" + text


def _goals(rng: Random, rows: list[Row], sites: list[Site]) -> dict[tuple[str, str], int]:
    region = {site.name: site.region for site in sites}
    totals: dict[tuple[str, str], int] = {}
    months = sorted({f"{row.day:%Y-%m}" for row in rows})
    for row in rows:
        key = (region[row.site], f"{row.day:%Y-%m}")
        totals[key] = totals.get(key, 0) + row.amount
    return {
        (name, month): max(100, round(totals.get((name, month), 5_000) * rng.uniform(0.6, 1.5)))
        for name in sorted(set(region.values()))
        for month in months
    }


def _goals_sql(theme: Theme, goals: dict[tuple[str, str], int]) -> str:
    rows = "".join(
        f"INSERT INTO goals VALUES ('{name}', '{month}', {amount});\n"
        for (name, month), amount in goals.items()
    )
    return f"CREATE TABLE goals ({theme.region} TEXT, month TEXT, goal INTEGER);\n{rows}"


def _notes(
    theme: Theme, files: dict[str, str], gaps: list[str], sentinel: int, dates: list[str],
    regions: list[str],
) -> str:  # fmt: skip
    facts, sites, _ = files
    (large, factor), (small, _) = theme.units
    mixed = (
        f"in {large} or {small} (1 {large} = {factor} {small}), decimals with a point or a comma; "
        f"without a unit it is in {small}"
        if factor == 1000
        else f"in seconds, with or without an {small}, or as hours:minutes:seconds"
    )
    missing = " or ".join(f'"{gap}"' if gap else "nothing at all" for gap in gaps)
    return (
        f"{facts}: one {theme.one} a line. Dates ({theme.date}) are written as "
        f"{', '.join(_DATES_SAID[form] for form in dates)}. The {theme.amount} is {mixed}. Where "
        f"it is missing it says {missing}, and {sentinel} stands for a failed measurement: such "
        f"lines are left out.\n"
        f"Lines with the status {theme.void} are left out too. A {theme.id} that comes again is a "
        f"copy of the same {theme.one} and counts once.\n"
        f"Upper and lower case and blanks around a {theme.site} or {theme.kind} mean nothing; "
        f"answers name a {theme.kind} in lower case, a {theme.place} as in {sites}.\n"
        f"{sites}: each {theme.place} with its {theme.region} and {theme.size}.\n"
        f"goals.sql: a dump of one table, for SQLite: the {theme.amount} that each {theme.region} "
        f"was to reach in a month, in {small}.\n"
        f"In answers every {theme.amount} is in {small}; days are written like 2024-03-25, months "
        f"like 2024-03.\n"
    )


def _load(theme: Theme, gaps: list[str], sentinel: int, dates: list[str], delimiter: str) -> str:
    (large, factor), (small, _) = theme.units
    if factor == 1000:
        amount = [
            f"    units = {{'{large}': 1000, '{small}': 1, '': 1}}",
            r"    number, unit = re.fullmatch(r'([\d.,]+) ?([a-zA-Z]*)', text).groups()",
            "    return round(float(number.replace(',', '.')) * units[unit])",
        ]
    else:
        amount = [
            "    if ':' in text:",
            "        hours, minutes, seconds = map(int, text.split(':'))",
            "        return hours * 3600 + minutes * 60 + seconds",
            r"    return int(re.match(r'\d+', text).group())",
        ]
    return cell(
        "import csv\nimport json\nimport re\nfrom collections import defaultdict",
        "from datetime import date, datetime, timedelta",
        "def day_of(text):",
        f"    for form in {tuple(dates)}:",
        "        try:",
        "            return datetime.strptime(text.strip(), form).date()",
        "        except ValueError:",
        "            pass",
        "    raise ValueError(text)",
        "def amount_of(text):",
        f"    if text.strip() in {(*gaps, str(sentinel))}:",
        "        return None",
        *amount,
        "rows, seen = [], set()",
        f"with open('{theme.facts}.csv', newline='') as file:",
        f"    for line in csv.DictReader(file, delimiter='{delimiter}'):",
        f"        amount = amount_of(line['{theme.amount}'])",
        f"        if amount is None or line['status'] == '{theme.void}':",
        "            continue",
        f"        if line['{theme.id}'] in seen:",
        "            continue",
        f"        seen.add(line['{theme.id}'])",
        f"        rows.append({{'id': int(line['{theme.id}']),",
        f"                     'day': day_of(line['{theme.date}']),",
        f"                     'site': line['{theme.site}'].strip().title(),",
        f"                     'kind': line['{theme.kind}'].strip().lower(), 'amount': amount}})",
        "rows.sort(key=lambda row: (row['day'], row['id']))",
    )


def _load_sites(theme: Theme, lines: bool) -> str:
    read = (
        f"with open('{theme.sites}.jsonl') as file:\n"
        "    sites = [json.loads(line) for line in file]"
        if lines
        else f"with open('{theme.sites}.csv', newline='') as file:\n"
        "    sites = list(csv.DictReader(file))"
    )
    return cell(
        read,
        f"region = {{site['{theme.place}']: site['{theme.region}'] for site in sites}}",
        f"size = {{site['{theme.place}']: int(site['{theme.size}']) for site in sites}}",
    )


def _load_goals() -> str:
    return cell(
        "import sqlite3",
        "database = sqlite3.connect(':memory:')",
        "database.executescript(open('goals.sql').read())",
        "goals = {(row[0], row[1]): row[2] for row in database.execute('SELECT * FROM goals')}",
    )
