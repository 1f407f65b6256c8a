"""Who is asked the prompts of an input, and how the input is read for that."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from promptmill.producer.figures import plural
from promptmill.producer.reading import Checked, Input, ReadOptions, read_prompts
from promptmill.producer.reading.content_checks import ContentChecks
from promptmill.producer.routing import Route, Router, route
from promptmill.producer.submitting.request import SubmitRequest
from promptmill.schema.errors import InputError, UsageError
from promptmill.schema.pii.finders import finder_of
from promptmill.schema.pools import Pools, members_of
from promptmill.schema.settings import CheckSettings, Settings


def spelled(request: SubmitRequest, asked: Sequence[Route], settings: Settings) -> ReadOptions:
    """Spell the model in full, so that however it was spelled it is the same request.

    Raises SettingsError where personal data is to be masked, and what finds it is not installed.
    """
    mask = request.mask_pii is not None and request.mask_pii.of_prompts
    if request.mask_pii is not None:
        finder_of(settings.pii)  # said here, if it is not installed
    options = replace(
        request.reading,
        max_file_bytes=settings.file_bytes,
        masked_by=settings.pii if mask else None,
        checks=_checks(request.checks or settings.checks.policy, settings.checks),
    )
    return replace(options, model=asked[0].full) if asked else options


def placed(options: ReadOptions, source: Input) -> ReadOptions:
    """Say where files are that prompts name: another process may read a copy of the input."""
    if options.folder is not None or options.url is not None:
        return options
    return replace(options, folder=source.folder)


def asked_routes(request: SubmitRequest, settings: Settings) -> tuple[Route, ...]:
    """Route the models of -m, each once and in the order of their names. Raises UsageError."""
    if request.reading.model is None:
        return ()
    models, kinds = (request.reading.model, *request.also), settings.kinds
    found = {route(model, kinds, rules=settings.routes) for model in models}
    return tuple(sorted(found, key=lambda one: one.full))


def routes_of(
    source: Input, options: ReadOptions, checked: Checked, router: Router
) -> dict[str | None, tuple[Route, ...]]:
    """Say who is asked, by the model of the line.

    Raises InputError at the first line that cannot be routed.
    """
    routes: dict[str | None, tuple[Route, ...]] = {}
    for model, prompts in checked.models.items():
        try:
            if model is None:
                msg = f"no model is named by {prompts:,} of {plural(checked.rows, 'prompt')}"
                raise UsageError(msg)
            routes[model] = router.routes(model)
        except UsageError as error:
            asking = (one.position for one in read_prompts(source, options) if one.model == model)
            raise InputError(
                problem=str(error),
                file=source.name,
                line=0 if router.asked else next(asking, 0),
                value=model or "",
                fix="give -m MODEL for all lines, or name a model in each that somebody answers",
            ) from None
    return routes


def with_members(
    routes: Mapping[str | None, Sequence[Route]], pools: Pools
) -> dict[str | None, tuple[Route, ...]]:
    """Put into the place of each pool its members, who may be asked any of it."""
    return {
        line: tuple(
            Route(member, one.model)
            for one in found
            for member in sorted(members_of([one.provider], pools))
        )
        for line, found in routes.items()
    }


def _checks(policy: str, settings: CheckSettings) -> ContentChecks | None:
    if policy == "off":
        return None
    return ContentChecks(
        refuse=policy == "error",
        rules=settings.rules,
        phrases=settings.phrases,
        max_characters=settings.max_characters,
    )
