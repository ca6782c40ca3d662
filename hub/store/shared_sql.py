"""SQL that everything about the shared log shares: who has an item, what state it is in, what it counts for.

A user has the ITEM event at a position if the position lies in one of their spans: `(joined, left_at]` of a topic by
`memberships`, and `(inbox_heads.joined, ∞)` of the broadcast topic `''`. Its state is the row in `shared_items`, if
there is one (the item is *touched*). Untouched it is seen, read, archived at or below the user's mark of that level.

What a user's shared items count for is the sum of

* for each span, the items above the mark: a subtraction of ordinals;
* `inbox_heads.shared_unread` (`…_unseen`): for each touched item what it counts for, less 1 if it lies above the mark
  (the subtraction has counted it already), and less 1 for each item above the mark that went until `settled`;
* for each GONE event after `settled`, less what its item would count for.

Only who has locked the head changes the second part, the others follow from the log: so a recall touches no inbox.

It is text, because the same query is correlated three levels deep in different places. `$head` stands for whatever
has the columns of `inbox_heads` there. Subqueries that find one value stay the look-ups that they are, whatever the
planner believes of the tables; where rows are to be found for rows, `each` keeps it so.
"""

from __future__ import annotations

from string import Template
from typing import NamedTuple, Self

TOP = 9_223_372_036_854_775_807
"""Above every position."""


class LogView(NamedTuple):
    """What the log says of one user: the last event of their topics, and what their shared items count for.

    The counts are without `inbox_heads.shared_unread` and `…_unseen`.
    """

    position: int = 0
    unread: int = 0
    unseen: int = 0
    gone: int = 0
    """GONE events of their topics after `inbox_heads.settled`: each is looked at whenever this is read."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `log_view` selects."""
        return cls(*map(int, text.split(",")))


def fill(template: str, **parts: str) -> str:
    """Put pieces of SQL, never values, into a template."""
    return Template(template).substitute(parts)


def each(dialect: str, query: str, name: str) -> str:
    """Join the numbers that a query finds for each row on the left, as the column `value`.

    PostgreSQL does by LATERAL what SQLite, without it, does by an array that a table function spreads out.
    """
    if dialect == "postgresql":
        return f"CROSS JOIN LATERAL ({query}) AS {name} (value)"
    return f"CROSS JOIN json_each((SELECT json_group_array(found.value) FROM ({query}) AS found)) AS {name}"  # noqa: S608 - no values


def only(dialect: str, table: str, name: str, condition: str, *, join: str = "CROSS JOIN") -> str:
    """Join the one row that meets a condition. The LIMIT makes it a look-up, whatever the planner believes."""
    on = "" if join == "CROSS JOIN" else "ON true"
    if dialect == "postgresql":
        return f"{join} LATERAL (SELECT * FROM {table} AS {name} WHERE {condition} LIMIT 1) AS {name} {on}"  # noqa: S608 - no values
    return f"{join} {table} AS {name} ON {condition}"


def larger(left: str, right: str) -> str:
    """Return the larger of two numbers that are columns or parameters."""
    return f"CASE WHEN {left} > {right} THEN {left} ELSE {right} END"


def smaller(left: str, right: str) -> str:
    """Return the smaller of two numbers that are columns or parameters; the second, if the first is null."""
    return f"CASE WHEN {left} < {right} THEN {left} ELSE {right} END"


_SPANS = """
(SELECT '' AS topic, $head.joined AS joined, CAST(NULL AS BIGINT) AS left_at
UNION ALL
SELECT member.topic, member.joined, member.left_at FROM memberships AS member
WHERE member.tenant = $head.tenant AND member.user_id = $head.user_id)"""


def spans(head: str) -> str:
    """Return a head's spans: `topic`, `joined`, `left_at`."""
    return fill(_SPANS, head=head)


SPANS_OF_ONE = """
(SELECT '' AS topic, CAST(:joined AS BIGINT) AS joined, CAST(NULL AS BIGINT) AS left_at
UNION ALL
SELECT member.topic, member.joined, member.left_at FROM memberships AS member
WHERE member.tenant = :tenant AND member.user_id = :user)"""
"""The spans of a user given by parameters, where there is no head to correlate with."""


_WITH_TOPICS = """(
  SELECT span.topic, span.joined, span.left_at,
  (SELECT topics.position FROM topics WHERE topics.tenant = $tenant AND topics.topic = span.topic) AS last,
  (SELECT topics.items FROM topics WHERE topics.tenant = $tenant AND topics.topic = span.topic) AS items
  FROM $spans AS span LIMIT $top
)"""


def with_topics(spans_: str, tenant: str) -> str:
    """Add to spans what their topics' heads say: `last` position, and `items`. The LIMIT has that looked up once."""
    return fill(_WITH_TOPICS, spans=spans_, tenant=tenant, top=str(TOP))


_UPTO = """CASE WHEN $position >= span.last THEN span.items ELSE coalesce((
  SELECT CASE WHEN following.topic = span.topic THEN following.ordinal END FROM shared_log AS following
  WHERE following.tenant = $tenant AND (following.topic, following.position) > (span.topic, $position + 0)
  ORDER BY following.topic, following.position LIMIT 1
), span.items, 0) END"""


def items_upto(tenant: str, position: str) -> str:
    """Return how many items the span's topic had up to a position: what its next event says of the time before.

    It needs spans `with_topics`. In rows, for the reason that `stretch` gives; that the next is of the same topic is
    looked at afterwards, as PostgreSQL compares each bound with all entries of the index's page, 5 µs for each.
    """
    return fill(_UPTO, tenant=tenant, position=position)


def span_covers(position: str) -> str:
    """Test whether a position lies in the span."""
    return f"{position} > span.joined AND (span.left_at IS NULL OR {position} <= span.left_at)"


def stretch(log: str, topic: str, lower: str, upper: str, *, category: str | None = None) -> str:
    """Test whether a row of the log is of a topic (and a category), above one position, up to another.

    To be read in the order of `[category,] topic, position`. Said in rows, the index by these is the only one that
    will do: of equalities and a range, a planner without statistics, or with some of when there was one topic only,
    walks through the whole tenant's log. By `+ 0` the bounds have no type of their own: SQLite would compare those of
    another integer type than the column's row by row, and by the index no more than what is before them.
    """
    columns, key = [f"{log}.topic", f"{log}.position"], [topic]
    if category is not None:
        columns, key = [f"{log}.category", *columns], [category, *key]
    place = ", ".join(columns)
    after, upto = (", ".join([*key, f"{bound} + 0"]) for bound in (lower, upper))
    return f"({place}) > ({after}) AND ({place}) <= ({upto})"


def span_stretch(log: str, lower: str, upper: str, *, category: str | None = None) -> str:
    """Test whether a row of the log is in the span (and of a category), above one position, up to another."""
    start, end = larger("span.joined", lower), smaller("span.left_at", upper)
    return stretch(log, "span.topic", start, end, category=category)


_GONE = """(
  SELECT count(*) FROM shared_log AS gone LEFT JOIN shared_items AS touched
  ON touched.tenant = $head.tenant AND touched.user_id = $head.user_id AND touched.position = gone.of_position
  WHERE gone.tenant = $head.tenant AND gone.topic = span.topic AND gone.kind = 1 AND gone.position > $head.settled
  AND $covered AND CASE WHEN touched.position IS NULL THEN gone.of_position > $head.${level}_mark ELSE
    touched.${level}_at IS NULL AND touched.archived_at IS NULL AND touched.snoozed_until IS NULL END
)"""


def _gone(head: str, level: str) -> str:
    return fill(_GONE, head=head, level=level, covered=span_covers("gone.of_position"))


def items_between(tenant: str, lower: str, upper: str | None = None) -> str:
    """Return how many items the span has above one position, up to another. It needs spans `with_topics`."""
    end = "span.left_at" if upper is None else smaller("span.left_at", upper)
    start = larger("span.joined", lower)
    capped = f"CASE WHEN {end} < {start} THEN {end} ELSE {start} END"
    below = items_upto(tenant, f"({capped})")
    if upper is None:
        return (
            f"CASE WHEN span.left_at IS NULL THEN coalesce(span.items, 0) ELSE {items_upto(tenant, end)} END - {below}"
        )
    return f"{items_upto(tenant, f'({end})')} - {below}"


_VIEW = """(
SELECT CAST(coalesce(max(span.last), 0) AS TEXT) || ',' || CAST(coalesce(sum($unread), 0) AS TEXT) || ','
|| CAST(coalesce(sum($unseen), 0) AS TEXT) || ',' || CAST(coalesce(sum(span.gone), 0) AS TEXT) FROM $spans AS span
)"""

_COUNTED = """(
  SELECT span.topic, span.joined, span.left_at, span.last, span.items, $above AS above_read, (
    SELECT count(*) FROM shared_log AS gone
    WHERE gone.tenant = $head.tenant AND gone.topic = span.topic AND gone.kind = 1 AND gone.position > $head.settled
  ) AS gone
  FROM $spans AS span LIMIT $top
)"""
"""Spans, with what both counts are made of. The LIMIT has that looked up once."""


def log_view(head: str) -> str:
    """Select the `LogView` of a head: as one text, so that it takes one subquery on both databases."""
    above = items_between(f"{head}.tenant", f"{head}.read_mark")
    spans_ = fill(_COUNTED, head=head, above=above, spans=with_topics(spans(head), f"{head}.tenant"), top=str(TOP))
    return fill(_VIEW, unread=f"span.above_read - {_if_any(head, 'read')}",
                unseen=f"{_above_seen(head)} - {_if_any(head, 'seen')}", spans=spans_)  # fmt: skip


def _above_seen(head: str) -> str:
    """Return how many items the span has above the mark of what is seen: most often that of what is read."""
    above = items_between(f"{head}.tenant", f"{head}.seen_mark")
    return f"CASE WHEN {head}.seen_mark = {head}.read_mark THEN span.above_read ELSE {above} END"


def _if_any(head: str, level: str) -> str:
    return f"CASE WHEN span.gone = 0 THEN 0 ELSE {_gone(head, level)} END"


_LAST = """coalesce((
SELECT max((SELECT topics.position FROM topics WHERE topics.tenant = $head.tenant AND topics.topic = span.topic))
FROM $spans AS span
), 0)"""

_FLOOR = """coalesce((
SELECT max((
  SELECT topics.floor FROM topics
  WHERE topics.tenant = $head.tenant AND topics.topic = span.topic AND topics.floor > span.joined
)) FROM $spans AS span
), 0)"""


def last_position(head: str) -> str:
    """Select the position of the last event of a head's topics; 0 if there is none."""
    return fill(_LAST, head=head, spans=spans(head))


def last_floor(head: str) -> str:
    """Select the position of the last event of a head's topics that can't be told any more; 0 if there is none."""
    return fill(_FLOOR, head=head, spans=spans(head))


def gone_since(head: str, level: str) -> str:
    """Select what the items that went after `settled` would count for (`read`: as unread; `seen`: as unseen)."""
    return fill("coalesce((SELECT sum($gone) FROM $spans AS span), 0)", gone=_gone(head, level), spans=spans(head))


def has(head: str, position: str, topic: str) -> str:
    """Test whether a head has what lies at a position of a topic."""
    covered = span_covers(position)
    return fill("EXISTS (SELECT 1 FROM $spans AS span WHERE span.topic = $topic AND $covered)",
                spans=spans(head), topic=topic, covered=covered)  # fmt: skip


_MARKED = """(
  SELECT mark.$column FROM shared_marks AS mark
  WHERE mark.tenant = $tenant AND mark.user_id = $user AND mark.level = $level
  AND mark.position >= $position ORDER BY mark.position LIMIT 1
)"""

STATE_COLUMNS = ("version", "seen_at", "read_at", "archived_at", "delivered_at", "snoozed_until")
"""What `state_columns` selects, in this order."""


def state_columns(tenant: str, user: str, position: str, *, head: str | None = None) -> str:
    """Return an item's state as columns; `state` is the row of a touched one."""
    columns = state_by_column(tenant, user, position, head=head)
    return ", ".join(f"{columns[name]} AS {name}" for name in STATE_COLUMNS)


def state_by_column(tenant: str, user: str, position: str, *, head: str | None = None) -> dict[str, str]:
    """Return what each of `STATE_COLUMNS` is; with a `head` at hand, marks are looked up only where there are any.

    A higher level of marks is never moved before the lower ones, so the highest has the last version.
    """

    def marked(column: str, level: str, name: str) -> str:
        mark = fill(_MARKED, column=column, level=level, tenant=tenant, user=user, position=position)
        return mark if head is None else f"CASE WHEN {position} <= {head}.{name}_mark THEN {mark} END"

    levels = {"seen": "1", "read": "2", "archived": "3"}
    at = {name: marked("marked_at", level, name) for name, level in levels.items()}
    version = {name: marked("version", level, name) for name, level in levels.items()}
    untouched = f"coalesce({version['archived']}, {version['read']}, {version['seen']}, 0)"
    return {
        "version": f"CASE WHEN state.position IS NULL THEN {untouched} ELSE state.version END",
        **{
            f"{name}_at": f"CASE WHEN state.position IS NULL THEN {at[name]} ELSE state.{name}_at END"
            for name in levels
        },
        "delivered_at": "state.delivered_at",
        "snoozed_until": "state.snoozed_until",
    }
