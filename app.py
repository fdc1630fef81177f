"""Start the web page: `python app.py`. All flags: `python app.py --help`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from demo.flags import Flags, parse_flags

if TYPE_CHECKING:
    from demo.arriving import ArrivingService
    from demo.service import LocalService


def main(arguments: list[str] | None = None) -> int:
    """Load the model, serve the page until it is told to end, and return the exit status."""
    flags = parse_flags(arguments)
    # Read by Gradio when it is imported, which is why the imports stand below.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # Its warnings are about parts that are not used here.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from demo import log
    from demo.startup import check_flags

    log.configure(flags.logs_prompts)
    try:
        check_flags(flags)
        service = find_service(flags)
    except ValueError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return serve(service, flags)


def find_service(flags: Flags) -> LocalService | ArrivingService:
    """Return the service: loaded, or still empty where it is known what will be loaded.

    Raises:
        ValueError: the model cannot be had, or a device or dtype cannot be used.
    """
    from demo.arriving import ArrivingService
    from demo.startup import early_card

    card = early_card(flags)
    return load(flags) if card is None else ArrivingService(card)


def load(flags: Flags) -> LocalService:
    """Load the model; see `demo.loading.load_service`."""
    from demo.loading import load_service  # imports torch

    return load_service(flags)


def serve(service: LocalService | ArrivingService, flags: Flags) -> int:
    """Serve the page and say where; blocks until the process is told to end."""
    from demo import log
    from demo.app import build_app, launch_options
    from demo.arriving import ArrivingService
    from demo.health import Health
    from demo.shutdown import end, ending_asked
    from demo.startup import default_options, desk_of, serving_of
    from demo.texts import operations as texts

    card = service.card
    desk = desk_of(flags, card)
    print(f"Model: {card.name} on {card.device}. {card.reason}", *card.notes, sep="\n", flush=True)
    serving, share_note = serving_of(flags)
    page = build_app(service, default_options(flags), flags.folder, desk)
    options = launch_options(serving, Health(service, desk))
    faults: list[Exception] = []
    with ending_asked() as is_asked:
        try:
            _, local, public = page.launch(**options, prevent_thread_lock=True)
        except OSError:
            where = f"{serving.server_name}, port {serving.server_port or 'any from 7860 to 7959'}"
            print(f"app.py: {texts.CANNOT_SERVE.format(where=where)}", file=sys.stderr)
            return 2
        print(texts.PAGE_IS_AT.format(address=local))
        if public:
            print(texts.PUBLIC_LINK.format(address=public))
        elif serving.share:
            share_note = texts.NO_PUBLIC_LINK
        if share_note:
            print(share_note)
        if serving.has_mcp and page.mcp_server_obj is None:
            # Gradio goes on without a word.
            print(f"app.py: {texts.MCP_FAILED.format(reason=page.mcp_error)}", file=sys.stderr)
            page.close(verbose=False)
            return 2
        if serving.has_mcp:
            print(texts.MCP_IS_AT.format(address=local))
        sys.stdout.flush()
        log.say("start", {"device": card.device, "kinds": sorted(card.image_sizes)})
        if isinstance(service, ArrivingService):

            def failed(error: Exception) -> None:
                faults.append(error)
                is_asked.set()

            service.load(lambda: load(flags), failed)
        is_asked.wait()
        end(desk, flags.grace)
        page.close(verbose=False)
    if faults:
        print(f"app.py: {texts.CANNOT_LOAD.format(reason=faults[0])}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
