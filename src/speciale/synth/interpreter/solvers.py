"""Solvers of puzzles, in plain Python: their source is what cells run, and the author looks with
them whether a puzzle has one solution only. The right answers are reasoning-gym's own.

Each is a generator of solutions, or gives a figure; each stands alone, with its imports inside.
"""

from __future__ import annotations


def sudoku(rows):
    grid = [[int(each) for each in row] for row in rows]

    def free(i, j):
        used = set(grid[i]) | {row[j] for row in grid}
        for k in range(3):
            used |= set(grid[i // 3 * 3 + k][j // 3 * 3 : j // 3 * 3 + 3])
        return [digit for digit in range(1, 10) if digit not in used]

    def search():
        empty = [(i, j) for i in range(9) for j in range(9) if not grid[i][j]]
        if not empty:
            yield [row[:] for row in grid]
            return
        i, j = min(empty, key=lambda place: len(free(*place)))
        for digit in free(i, j):
            grid[i][j] = digit
            yield from search()
            grid[i][j] = 0

    yield from search()


def futoshiki(rows, less):
    grid = [[int(each) for each in row] for row in rows]
    size = len(grid)

    def allowed(i, j, digit):
        if digit in grid[i] or any(row[j] == digit for row in grid):
            return False
        for (a, b), (c, d) in less:
            low = digit if (a, b) == (i, j) else grid[a][b]
            high = digit if (c, d) == (i, j) else grid[c][d]
            if (i, j) in ((a, b), (c, d)) and low and high and low >= high:
                return False
        return True

    def search():
        best, digits = None, []
        for i in range(size):
            for j in range(size):
                if not grid[i][j]:
                    left = [digit for digit in range(1, size + 1) if allowed(i, j, digit)]
                    if best is None or len(left) < len(digits):
                        best, digits = (i, j), left
        if best is None:
            yield [row[:] for row in grid]
            return
        for digit in digits:
            grid[best[0]][best[1]] = digit
            yield from search()
            grid[best[0]][best[1]] = 0

    yield from search()


def kakurasu(row_sums, column_sums):
    wide = len(column_sums)
    left = list(column_sums)

    def lines(total, place):
        if place == 0:
            if total == 0:
                yield ()
            return
        for bit in (0, 1):
            if total >= bit * place:
                for rest in lines(total - bit * place, place - 1):
                    yield (*rest, bit)

    def search(i, chosen):
        if i == len(row_sums):
            if not any(left):
                yield list(chosen)
            return
        for line in lines(row_sums[i], wide):
            if all(left[j] >= (i + 1) * bit for j, bit in enumerate(line)):
                for j, bit in enumerate(line):
                    left[j] -= (i + 1) * bit
                yield from search(i + 1, [*chosen, line])
                for j, bit in enumerate(line):
                    left[j] += (i + 1) * bit

    yield from search(0, [])


def survo(rows, numbers):
    size = len(rows) - 1
    grid = [list(row) for row in rows]
    empty = [(i, j) for i in range(size) for j in range(size) if not grid[i][j]]
    numbers = sorted(numbers)

    def good(line, total):
        return sum(line) == total if all(line) else sum(line) < total

    def search(at):
        if at == len(empty):
            yield [row[:] for row in grid]
            return
        i, j = empty[at]
        for k, number in enumerate(numbers):
            if number is None or number in numbers[:k]:
                continue
            grid[i][j], numbers[k] = number, None
            column = [grid[r][j] for r in range(size)]
            if good(grid[i][:size], grid[i][size]) and good(column, grid[size][j]):
                yield from search(at + 1)
            grid[i][j], numbers[k] = 0, number

    yield from search(0)


def cryptarithm(words, total):
    columns = max(map(len, [*words, total]))
    first = {word[0] for word in [*words, total] if len(word) > 1}
    value = {}

    def search(at, carry):
        if at == columns:
            if carry == 0:
                yield dict(value)
            return
        letters = [word[-1 - at] for word in words if at < len(word)]
        result = total[-1 - at] if at < len(total) else None
        new = sorted(set(letters) - set(value))
        yield from assign(at, carry, letters, result, new)

    def assign(at, carry, letters, result, new):
        if new:
            for digit in range(10):
                if digit not in value.values() and (digit or new[0] not in first):
                    value[new[0]] = digit
                    yield from assign(at, carry, letters, result, new[1:])
                    del value[new[0]]
            return
        carry, digit = divmod(carry + sum(value[letter] for letter in letters), 10)
        if result is None:
            if digit == 0:
                yield from search(at + 1, carry)
        elif result in value:
            if value[result] == digit:
                yield from search(at + 1, carry)
        elif digit not in value.values() and (digit or result not in first):
            value[result] = digit
            yield from search(at + 1, carry)
            del value[result]

    yield from search(0, 0)


def largest_island(rows):
    seen, best = set(), 0
    for i in range(len(rows)):
        for j in range(len(rows[i])):
            if rows[i][j] == "1" and (i, j) not in seen:
                area, todo = 0, [(i, j)]
                seen.add((i, j))
                while todo:
                    x, y = todo.pop()
                    area += 1
                    for u, v in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
                        inside = 0 <= u < len(rows) and 0 <= v < len(rows[u])
                        if inside and rows[u][v] == "1" and (u, v) not in seen:
                            seen.add((u, v))
                            todo.append((u, v))
                best = max(best, area)
    return best


def distances(rows):
    far = {}
    ring = [(i, j) for i, row in enumerate(rows) for j, each in enumerate(row) if each == "0"]
    step = 0
    while ring:
        far.update(dict.fromkeys(ring, step))
        near = set()
        for i, j in ring:
            for u, v in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                if 0 <= u < len(rows) and 0 <= v < len(rows[u]) and (u, v) not in far:
                    near.add((u, v))
        ring, step = sorted(near), step + 1
    return far


def maze(rows):
    start = next((i, row.index("S")) for i, row in enumerate(rows) if "S" in row)
    ring, seen, steps = [start], {start}, 0
    while ring:
        after = []
        for i, j in ring:
            if rows[i][j] == "G":
                return steps
            for u, v in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                inside = 0 <= u < len(rows) and 0 <= v < len(rows[u])
                if inside and rows[u][v] != "1" and (u, v) not in seen:
                    seen.add((u, v))
                    after.append((u, v))
        ring, steps = after, steps + 1
    return None


def at_least(dice, target):
    ways = {0: 1}
    for sides in dice:
        after = {}
        for total, number in ways.items():
            for face in range(1, sides + 1):
                after[total + face] = after.get(total + face, 0) + number
        ways = after
    return sum(number for total, number in ways.items() if total >= target), sum(ways.values())
