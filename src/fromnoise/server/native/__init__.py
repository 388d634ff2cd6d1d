"""Our own API, `/api/v1`, by subject."""

from fromnoise.server.native import (
    about,
    accounts,
    datasets,
    errands,
    events,
    extensions,
    folders,
    gallery,
    gallery_changes,
    grids,
    jobs,
    machine,
    model_changes,
    models,
    orders,
    sending,
    sentences,
    settings,
    styles,
    tags,
    terms,
    tokens,
    traces,
    training,
)

PARTS = (
    about, orders, errands, grids, jobs, traces, events, sending, folders, gallery, gallery_changes, model_changes,
    models, tokens, styles, tags,
    machine, settings, accounts, extensions, training, datasets, terms, sentences,
)  # fmt: skip
ROUTERS = [part.router for part in PARTS]
