"""A stranger's plugin with an extension of the protocol: it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from session_stack import clock, new_site
from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest, NoSettings
from tapekit.kernel import Available, assemble, installed
from tapekit_ndmp_v4.exchanges import Exchange
from tapekit_ndmp_v4.hookspecs import ChosenExtension, Extension
from tapekit_ndmp_v4.numbers import DataState, MoverState, NdmpError
from tapekit_ndmp_v4.refusal import Refused
from tapekit_ndmp_v4.wire import ErrorCode, Message, RequestBody, Text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tapekit.kernel import StackKernel
    from tapekit_ndmp_v4.hookspecs import ExtensionHandler


class CountRequest(RequestBody["CountReply"]):
    """Count something; legal while the data server is idle."""

    what: Text


class CountReply(Message):
    error: ErrorCode
    count: ErrorCode


class CountedPost(Message):
    what: Text


ROWS = (
    Exchange(
        0x3333_0001,
        "COUNT",
        CountRequest,
        CountReply,
        frozenset({DataState.IDLE}),
        frozenset({MoverState.IDLE}),
    ),
    Exchange(0x3333_0180, "COUNTED", CountedPost, needs_authentication=False, is_post=True),
)


class Counting(ChosenExtension):
    """Counts in each session on its own, and tells."""

    count = 0

    def handlers(self) -> Mapping[type[Message], ExtensionHandler]:
        return {CountRequest: self._count}

    async def _count(self, request: CountRequest) -> CountReply:
        if not request.what:
            raise Refused(NdmpError.ILLEGAL_ARGS_ERR)
        self.count += 1
        self.session.link.post(CountedPost(what=request.what))
        return CountReply(error=NdmpError.NO_ERR, count=self.count)


class CountingPlugin:
    """An extension in the twenty lines that it takes."""

    manifest: ClassVar = Manifest(name="counting", summary="Counts", requires=("ndmp_v4",))

    def __init__(self, settings: NoSettings) -> None:
        self.settings = settings

    @hookimpl
    def tapekit_register_ndmp_extensions(self) -> tuple[Extension, ...]:
        return (
            Extension(class_id=0x3333, name="COUNT", versions=(1,), exchanges=ROWS, begin=Counting),
        )


def counting_site(directory: Path, plugin: type[Any] = CountingPlugin) -> StackKernel:
    """A new site and a stranger's plugin."""
    kernel = new_site(directory)
    text = kernel.stack_file.read_text()
    kernel.stack_file.write_text(text.replace("plugins = [\n", 'plugins = [\n    "counting",\n'))
    stranger = Available("counting", "tests", "tests", lambda: plugin)
    return assemble(kernel.stack_file, [*installed(), stranger], clock=clock)
