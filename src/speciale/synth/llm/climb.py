"""The model's way up: the four steps, each checked, what is wrong told, and asked again.

Data, tools, a simple task, harder ones (V3.2 report, 3.2.3). A level that the model cannot mend
ends the climb, and what was good stays.
"""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Mapping

import speciale
from speciale.agents.calls import CallLimits
from speciale.agents.chat_server import ChatConversation
from speciale.agents.context import discard_75
from speciale.agents.conversation import tool_message
from speciale.agents.loop import Budget, Plan, run_agent
from speciale.agents.trajectory import Trajectory
from speciale.engine.params import SamplingParams
from speciale.sandbox import Sandbox
from speciale.synth.gates import Judged, judge
from speciale.synth.llm import checks, prompts
from speciale.synth.llm.meter import Ledger, MeteredChat
from speciale.synth.llm.workshop import Unreadable, Workshop
from speciale.synth.work import Item, Rejected
from speciale.tasks.synthesised.family import About, Family, TaskFiles
from speciale.tasks.synthesised.world import DATABASE, SCHEMA, TOOLS

START_S = 40.0  # more than a call's own time, for a kernel to start and for calls beside it
CHARACTERS = 12_000  # of a call's result, which is paid for with every completion after it
_ODD = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\uffff]")  # not in env.toml

Check = Callable[[], Awaitable[list[str]]]


class Climb:
    """One item's way up. `ended`: why nothing more can be asked of the model."""

    def __init__(
        self,
        item: Item,
        ledger: Ledger,
        chat: MeteredChat,
        workshop: Workshop,
        sandbox: Sandbox,
        key: str | None = None,
    ) -> None:
        self._item, self._ledger, self._chat = item, ledger, chat
        self._workshop, self._sandbox, self._key = workshop, sandbox, key
        self._rng = random.Random(f"llm {item['category']} {item['seed']} {item['index']}")
        self._draw = self._rng.getrandbits(31)
        self.ended: str | None = None
        self._files: dict[str, bytes] = {}  # that hold
        self._about = ""
        self._survey = checks.Survey()
        self._tasks: dict[str, TaskFiles] = {}  # that hold
        # The last try at a task: its family, and what the gates said of that ({}: nothing yet).
        self._tried: tuple[Family, Mapping[str, Judged]] | None = None

    async def family(self) -> Family:
        """All four steps. Rejected where they end before a task."""
        levels = self._item["levels"]
        category = self._item["category"].replace("-", " ").replace("_", " ")
        angle = prompts.angle(self._rng)
        ask = prompts.DATA.substitute(category=category, angle=angle, levels=levels)
        if self._item.get("search") is not None:
            ask += prompts.SEARCH
        if faults := await self._step("data", ask, self._check_data):
            raise self._rejected("data", faults)
        rows = ", ".join(f"{name} {count}" for name, count in self._survey.rows.items())
        ask = prompts.TOOLS.substitute(about=self._about, schema=self._shown(SCHEMA), rows=rows)
        if faults := await self._step("tools", ask, self._check_tools):
            raise self._rejected("tools", faults)
        for level in range(1, levels + 1):
            number, way = f"{level - 1:03d}", prompts.way(self._rng)

            async def check(number: str = number, level: int = level) -> list[str]:
                return await self._check_task(number, level)

            self._tried = None
            ask = self._ask_task(number, level, way)
            if faults := await self._step(f"level {level}", ask, check):
                return await self._with_candidate(number, faults)
        return self._family(self._files, self._tasks)

    # ---- the steps' checks: faults, or none and then what was read is kept -----------------------

    async def _check_data(self) -> list[str]:
        files, faults = {}, []
        for path in (SCHEMA, DATABASE):
            try:
                text = await self._workshop.text(path) if path == SCHEMA else None
                files[path] = text.encode() if text is not None else await self._workshop.read(path)
            except Unreadable as error:
                faults.append(f"{error}")
        if faults:
            return faults
        survey, faults = await checks.survey_data(files, self._sandbox)
        if survey is not None:
            self._survey, self._files = survey, files
            try:
                about = " ".join((await self._workshop.text("about.txt")).split())
                self._about = _ODD.sub("", about)[:300]
            except Unreadable:
                pass  # it is for readers alone
        return faults

    async def _check_tools(self) -> list[str]:
        files, faults = await self._with_tools()
        if not faults:
            family = self._family(files, {})
            faults = await checks.tools_faults(family, self._survey, self._sandbox)
        if not faults:
            self._files = files
        return faults

    async def _check_task(self, number: str, level: int) -> list[str]:
        files, faults = await self._with_tools()
        easier = f"{int(number) - 1:03d}" if level > 1 else None
        task, unread = await checks.read_task(self._workshop, number, level, easier)
        if faults or task is None:
            return [*faults, *unread]
        if files[TOOLS] != self._files[TOOLS]:
            bare = self._family(files, {})
            faults = await checks.tools_faults(bare, self._survey, self._sandbox)
            if faults:
                self._tried = (self._family(self._files, {**self._tasks, number: task}), {})
                return faults
        family = self._family(files, {**self._tasks, number: task})
        judged = await judge(family, self._sandbox)
        self._tried = (family, judged)
        faults = checks.task_faults(judged, prompts.HINTS)
        if not faults and all(map(checks.holds, judged.values())):
            self._files, self._tasks = files, dict(family.tasks)
        return faults

    async def _with_tools(self) -> tuple[dict[str, bytes], list[str]]:
        """The files with tools.py as it is now; the data is put back as it was."""
        faults = []
        for path in (SCHEMA, DATABASE):
            try:
                await self._workshop.put_back(path, self._files[path])
            except Unreadable as error:
                faults.append(f"{error}")
        files = dict(self._files)
        try:
            files[TOOLS] = (await self._workshop.text(TOOLS)).encode()
        except Unreadable as error:
            faults.append(f"{error}")
        return files, faults

    # ---- what comes of it ------------------------------------------------------------------------

    def _family(self, files: Mapping[str, bytes], tasks: Mapping[str, TaskFiles]) -> Family:
        about = About(
            id=self._item["key"],
            kind="general",
            category=self._item["category"],
            seed=self._item["seed"],
            generator=_ODD.sub("", f"llm:{self._item['model']}"),
            speciale=speciale.__version__,
            about=self._about,
            source=f"written by a model, index {self._item['index']}",
        )
        return Family(about, dict(files), dict(tasks))

    async def _with_candidate(self, number: str, faults: list[str]) -> Family:
        """What held, and the task that did not, so that the gates say why; but not where tasks that
        held would fall with it."""
        if self._tried is None or number not in self._tried[0].tasks:
            if self._tasks:
                return self._family(self._files, self._tasks)
            raise self._rejected(f"level {int(number) + 1}", faults)
        family, judged = self._tried
        judged = judged or await judge(family, self._sandbox)
        if not all(checks.holds(judged.get(each)) for each in self._tasks):
            # With the tools that held; without any task that may do.
            task = family.tasks[number]
            family = self._family(self._files, {**self._tasks, number: task})
            judged = await judge(family, self._sandbox)
            if not all(checks.holds(judged.get(each)) for each in self._tasks):
                return self._family(self._files, self._tasks)
        return family

    def _rejected(self, step: str, faults: list[str]) -> Rejected:
        ended = f"{self.ended}; " if self.ended else ""
        return Rejected(f"the model did not get beyond the step {step!r}: {ended}{faults[0]}"[:900])

    # ---- the conversation ------------------------------------------------------------------------

    async def _step(self, name: str, ask: str, check: Check) -> list[str]:
        """The faults that are left when the step's rounds are used up, or nothing more can be asked
        of the model; none when it holds."""
        self._ledger.begin(name)
        talk: ChatConversation | None = None
        said, faults = ask, ["nothing was asked"]
        for _ in range(self._ledger.allowance.rounds):
            if self.ended:
                break
            self._ledger.step.rounds += 1
            if talk is None:
                talk = self._talk(said)
            else:
                _answer_calls(talk)
                talk.add([{"role": "user", "content": said}])
            stop = await self._work(talk)
            faults = [_plain(fault) for fault in (await check())[: checks.MOST_FAULTS]]
            if not faults:
                break
            said = prompts.feedback(faults, stop)
            if stop in ("error", "context"):
                talk, said = None, f"{ask}\n\n{said}"
        self._ledger.step.faults = faults
        return faults

    def _talk(self, ask: str) -> ChatConversation:
        messages = [
            {"role": "system", "content": prompts.SYSTEM},
            {"role": "user", "content": ask},
        ]
        return self._chat(messages, [dict(tool) for tool in self._workshop.tools.tools])

    async def _work(self, talk: ChatConversation) -> str:
        """Has the model work until it ends its turn or is ended; how."""
        ledger, allowance = self._ledger, self._ledger.allowance
        plan = Plan(
            SamplingParams(max_tokens=allowance.max_tokens, seed=self._draw),
            Budget(turns=allowance.completions, seconds=max(0.001, ledger.seconds_left)),
            CallLimits(allowance.call_seconds + START_S, CHARACTERS),
            strategy=discard_75,
        )
        record = Trajectory()
        await run_agent(lambda *_: talk, (), self._workshop.tools, plan, trajectory=record)
        if record.stop == "seconds":
            self.ended = f"the budget of {allowance.seconds:g} s is used up"
        elif record.stop == "error":
            error = record.error or ""
            if self._key:
                error = error.replace(self._key, "***")
            # Where a new conversation does not even begin, there is no more to be had.
            begun = any(message["role"] == "assistant" for message in talk.messages)
            if not begun or error.startswith("the budget"):
                self.ended = error[:500]
        return record.stop

    def _ask_task(self, number: str, level: int, way: str) -> str:
        schema, tools = self._shown(SCHEMA), self._shown(TOOLS)
        if level == 1:
            return prompts.TASK.substitute(schema=schema, tools=tools)
        easier = f"{int(number) - 1:03d}"
        before = self._tasks[easier]
        return prompts.HARDER.substitute(
            number=number, level=level, easier=easier, way=way, schema=schema, tools=tools,
            task=prompts.shown(before.about.prompt, 4000),
            solution=prompts.shown(before.solution, 6000),
            verify=prompts.shown(before.verify, 6000),
        )  # fmt: skip

    def _shown(self, path: str) -> str:
        return prompts.shown(self._files[path].decode(), 20_000)


def _plain(fault: str) -> str:
    """Without half a surrogate pair, which generated code can make and UTF-8 has not."""
    return fault[:2000].encode("utf-8", "replace").decode()


def _answer_calls(talk: ChatConversation) -> None:
    """A call that nobody answered (the message was cut off) would make servers refuse the rest."""
    calls = talk.messages[-1].get("tool_calls") or ()
    talk.add([tool_message(call, "Not run: the message was cut off.") for call in calls])
