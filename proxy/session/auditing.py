"""Which fast reads are noted, to be repeated on the primary when their client has its answer.

What may be repeated says the same each time and counts as much as the primary's word: a strong
read, whose result might be kept by a cache, asked for whole. What becomes of it is in
`runtime/audits.py`; nothing here waits for that.
"""

from __future__ import annotations

from proxy.session.conversation import Conversation
from proxy.session.errand import Errand
from proxy.session.results import is_of_the_moment
from proxy.session.sample import Sample
from proxy.wire.exchange import Exchange


def draw(session: Conversation, errand: Errand, served_by: str) -> Sample | None:
    """Count a fast read, and note it if it is one to be audited."""
    audit = session.services.audit
    plan = errand.fast
    if not audit.sampler.takes() or plan is None or plan.read_set is None:
        return None
    if not may_be_repeated(errand):
        audit.skip()
        return None
    profile = session.profile
    return Sample(
        errand.request,
        plan.statement,
        plan.read_set,
        errand.version,
        plan.generation,
        served_by=served_by,
        profile=profile,
        state=profile.alone if errand.beside else profile.state,
    )


def may_be_repeated(errand: Errand) -> bool:
    """Tell if a fast read would say the same again, and must say what the primary does."""
    plan, terms, request = errand.fast, errand.terms, errand.request
    if plan is None or plan.uncached is not None or errand.clock:
        return False
    if terms is not None and not (terms.contract.is_strong and terms.uncached is None):
        return False
    execution = request.executions[0]
    if request.is_foreign or not request.only_reads or execution.max_rows:
        return False
    return not is_of_the_moment(execution)


def hand_over(session: Conversation, sample: Sample, exchange: Exchange | None) -> None:
    """A fast answer is with its client: have the primary asked too.

    Args:
        session: Of the client.
        sample: With the answer.
        exchange: Where the answer came from; None: the cache.
    """
    is_good = exchange is None or (exchange.error is None and exchange.plain)
    if is_good and sample.is_whole:
        session.services.audit.take(sample)
    else:
        session.services.audit.skip()
