"""Start the web page: `python app.py`. All flags: `python app.py --help`."""

import os
import sys

from demo.flags import Flags, parse_flags


def main(arguments: list[str] | None = None) -> int:
    """Load the model, serve the page until it is interrupted, and return the exit status."""
    flags = parse_flags(arguments)
    # Read by Gradio when it is imported, which is why the imports stand below.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # Its warnings are about parts that are not used here.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from demo.startup import load_service

    try:
        service = load_service(flags)
    except ValueError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return serve(service, flags)


def serve(service, flags: Flags) -> int:
    """Serve the page and say where; blocks until it is interrupted."""
    from demo.app import build_app, launch_options
    from demo.startup import default_options, serving_of

    card = service.card
    print(f"Model: {card.name} on {card.device}. {card.reason}", *card.notes, sep="\n", flush=True)
    serving, share_note = serving_of(flags)
    page = build_app(service, default_options(flags), flags.folder)
    try:
        _, local, public = page.launch(**launch_options(serving), prevent_thread_lock=True)
    except OSError:
        where = f"{serving.server_name}, port {serving.server_port or 'any from 7860 to 7959'}"
        print(
            f"app.py: The page cannot be served at {where}: the port is taken, or this machine "
            "does not have the address. Choose another with --server-port or --server-name.",
            file=sys.stderr,
        )
        return 2
    print(f"The page is at {local}")
    if public:
        print(f"Public link, for anyone who knows it: {public}")
    elif serving.share:
        share_note = "No public link could be made; the page is served on this machine only."
    if share_note:
        print(share_note)
    sys.stdout.flush()
    page.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
