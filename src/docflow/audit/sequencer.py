"""The sequencer: gives new entries their place in the log, signs the log, publishes it.

Rules:
- One at a time, in all processes: an exclusive lock around the run, and the log's state row locked
  in each transaction.
- The database is the log; object storage is a copy that is only ever brought up to it. A checkpoint
  is committed before anyone outside can see it, and tiles are published before the checkpoint that
  needs them.
- A crash anywhere is repaired by the next run through this same code; each step below says what
  holds after it.
- It stops, loudly, rather than sign what does not extend what it signed before: another tree than
  the last checkpoint's, another key or name, an altered entry, a clock that went back, or a database
  that is older than what was published (a restored backup): signing on would show two histories.
- With nothing new it writes nothing.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from docflow.audit.pending import NewLeaf, next_leaves
from docflow.audit.records import (
    CHECKPOINT_KEY,
    PREFIX,
    STATE_ID,
    LogState,
    read_checkpoint,
    read_resource,
    read_state,
    read_tile,
)
from docflow.db import Database, UnitOfWork
from docflow.db.tables import (
    history_pending,
    log_checkpoints,
    log_leaves,
    log_state,
    log_tiles,
)
from docflow.kernel.actor import SERVICE
from docflow.kernel.clock import Clock, rfc3339
from docflow.kernel.errors import IntegrityError, NotFoundError
from docflow.storage import ObjectStore
from docflow.transparency.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from docflow.transparency.errors import CheckpointError, NoteError
from docflow.transparency.merkle import EMPTY_ROOT, leaf_hash
from docflow.transparency.note import MAX_NOTE_BYTES, SigningKey
from docflow.transparency.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    ReadTile,
    Tile,
    TileReader,
    changed_tiles,
    grow_tiles,
)

BATCH = 1000  # entries of one transaction, so that writers wait for a fraction of a second only
_LOCK = "history-log"


class Sequencer:
    """Sequences and publishes; any number of processes may hold one and call `run`."""

    def __init__(
        self, database: Database, store: ObjectStore, log_key: SigningKey, clock: Clock
    ) -> None:
        """Work for the log that `log_key` is named after."""
        self._database = database
        self._store = store
        self._key = log_key
        self._origin = log_key.verifier.name
        self._clock = clock

    def run(self) -> int:
        """Sequence everything that is pending, publish, and return how many were sequenced.

        Returns 0 without waiting while another process or thread runs; that one, or the next
        run, takes what is pending.

        Raises:
            IntegrityError: if the log must not be extended: `log-tree-mismatch`,
                `log-key-changed`, `log-origin-changed`, `log-clock-regressed`, `log-published-ahead`
                or `history-entry-altered`. Nothing was written; a person must look.
            UnavailableError: if database or storage do not answer; the next run goes on.
        """
        if not self._has_work():
            return 0
        with self._database.exclusive(_LOCK) as free:
            if not free:
                return 0
            self._refuse_fork()
            sequenced = 0
            while count := self._sequence():
                sequenced += count
                if count < BATCH:
                    break
            self._publish()
            return sequenced

    def _has_work(self) -> bool:
        """Tell, without locking anyone out, whether anything is pending or unpublished."""
        with self._database.read() as connection:
            if connection.execute(sa.select(history_pending.c.entry_id).limit(1)).first():
                return True
            state = read_state(connection)
        return state is not None and state.published_size != state.size

    def _refuse_fork(self) -> None:
        """Refuse to go on if what was published is not part of this database's log."""
        try:
            with self._store.open(CHECKPOINT_KEY) as published:
                note = published.read(MAX_NOTE_BYTES)
            seen = open_checkpoint(note, [self._key.verifier], origin=self._origin).checkpoint
        except NotFoundError:
            return  # nothing was published yet
        except (NoteError, CheckpointError):
            return  # not ours; publishing puts ours there again
        with self._database.read() as connection:
            state, newest = read_state(connection), read_checkpoint(connection)
            stored = read_checkpoint(connection, seen.size)
        sizes = [known.size for known in (state, newest) if known is not None]
        ahead = seen.size > max(sizes, default=0)
        if ahead or (stored is not None and stored.root != seen.root.hex()):
            raise IntegrityError(
                f"The published log has {seen.size} entries that this database does not have in that "
                "order; it was restored from an older copy, or is not this log's.",
                code="log-published-ahead",
                satisfied_by="Restore database and object storage of the same moment, then run "
                "`docflow audit verify`.",
            )

    # -- into the log ----------------------------------------------------------------------------

    def _sequence(self) -> int:
        """Give one batch its places, in one transaction.

        Before the commit nothing has happened. After it the entries have their indices, the tiles
        and the checkpoint cover them, and they are no longer pending: there is no moment between.
        """
        with self._database.unit_of_work(SERVICE) as uow:
            state = self._locked_state(uow)
            leaves = next_leaves(uow.connection, BATCH)
            if not leaves:
                return 0
            _refuse_altered(leaves)
            self._refuse_mismatch(uow, state)
            self._append(uow, state, leaves)
            return len(leaves)

    def _locked_state(self, uow: UnitOfWork) -> LogState:
        """Return the state with its row locked; make the row before the first entry."""
        state = read_state(uow.connection, lock=True)
        if state is None:
            uow.serialise("history log")  # there is no row to lock yet
            state = read_state(uow.connection, lock=True)
        if state is None:
            state = LogState(self._origin, 0, 0)
            row = {"id": STATE_ID, "origin": state.origin, "size": 0, "published_size": 0}
            uow.put(log_state, row)
        if state.origin != self._origin:
            raise IntegrityError(
                f"The database holds the log {state.origin!r}, the log key is of "
                f"{self._origin!r}; a log keeps its name.",
                code="log-origin-changed",
                satisfied_by="Name the log's own key and origin in the settings.",
            )
        return state

    def _refuse_mismatch(self, uow: UnitOfWork, state: LogState) -> None:
        """Refuse to extend a log whose tiles do not lead to the checkpoint signed last."""
        stored = read_checkpoint(uow.connection)
        size, root = (stored.size, stored.root) if stored else (0, EMPTY_ROOT.hex())
        if size != state.size:
            raise _mismatch(f"its state says {state.size} leaves, its last checkpoint {size}")
        if stored is None:
            return
        try:
            signed = open_checkpoint(stored.note, [self._key.verifier], origin=self._origin)
        except (NoteError, CheckpointError) as error:
            raise IntegrityError(
                f"The log's last checkpoint, of size {size}, is not signed by this log key: "
                f"{error.detail}",
                code="log-key-changed",
                satisfied_by="Name the key that signed it in DOCFLOW_LOG_KEY_FILE.",
            ) from error
        rebuilt = TileReader(_tiles_on(uow.connection)).root(size).hex()
        if not size == signed.checkpoint.size or not (
            rebuilt == root == signed.checkpoint.root.hex()
        ):
            raise _mismatch(
                f"its tiles lead to the root {rebuilt}, its last checkpoint, of size {size}, "
                f"says {signed.checkpoint.root.hex()}"
            )
        now = self._clock.now()
        if now < stored.created_at:
            raise IntegrityError(
                f"The clock says {rfc3339(now)}, before the log's last checkpoint of "
                f"{rfc3339(stored.created_at)}; nothing is sequenced until it is right.",
                code="log-clock-regressed",
                satisfied_by="Set the machine's clock, or wait until it has passed that instant.",
            )

    def _append(self, uow: UnitOfWork, state: LogState, leaves: Sequence[NewLeaf]) -> None:
        on_file = _tiles_on(uow.connection)
        hashes = [leaf.hash for leaf in leaves]
        written = grow_tiles(state.size, hashes, on_file)
        size = state.size + len(leaves)
        root = TileReader(_overlaid(written, on_file)).root(size)
        note = sign_checkpoint(Checkpoint(self._origin, size, root), [self._key])

        uow.put(
            log_leaves,
            *(
                {"index": index, "entry_id": leaf.entry_id}
                for index, leaf in enumerate(leaves, state.size)
            ),
        )
        for tile, data in written:
            _write_tile(uow, state.size, tile, data)
        uow.put(
            log_checkpoints,
            {"size": size, "root": root.hex(), "note": note, "created_at": self._clock.now()},
        )
        taken = [leaf.entry_id for leaf in leaves]
        removed = uow.remove(history_pending, None, history_pending.c.entry_id.in_(taken))
        moved = uow.alter(
            log_state,
            None,
            sa.and_(log_state.c.id == STATE_ID, log_state.c.size == state.size),
            {"size": size},
        )
        if removed != len(taken) or moved != 1:
            raise _mismatch("another sequencer took the same entries")

    # -- to object storage -----------------------------------------------------------------------

    def _publish(self) -> None:
        """Bring object storage up to the database; with nothing new it only reads the state.

        No transaction is open while the store works. `published_size` moves last, so a crash at
        any step makes the next run do all of it again, with the same bytes.
        """
        with self._database.read() as connection:
            state = read_state(connection)
            stored = read_checkpoint(connection, state.size) if state else None
        if state is None or stored is None or state.published_size == state.size:
            return
        for tile in changed_tiles(state.published_size, state.size):
            with self._database.read() as connection:
                data = read_resource(connection, tile)
            self._store.publish(PREFIX + tile.path, data)
        # Every tile that the new checkpoint needs is there; the old checkpoint's still are too.
        self._store.publish(CHECKPOINT_KEY, stored.note.encode())
        # Whoever reads the log sees the new size. Partial tiles that are full now serve no one.
        for path in self._superseded(state):
            self._store.delete(PREFIX + path)
        # Object storage is as it shall be; only the database does not know it yet.
        with self._database.unit_of_work(SERVICE) as uow:
            uow.alter(
                log_state,
                None,
                sa.and_(log_state.c.id == STATE_ID, log_state.c.published_size < state.size),
                {"published_size": state.size},
            )
        # The next run finds nothing to publish.

    def _superseded(self, state: LogState) -> list[str]:
        """Return the partial tiles and bundles, published at earlier sizes, that are full now."""
        paths: list[str] = []
        for level in (None, *range(state.size.bit_length() // TILE_HEIGHT + 1)):
            unit = 1 << TILE_HEIGHT * (level or 0)
            index, width = divmod(state.published_size // unit, TILE_WIDTH)
            first, end = index * TILE_WIDTH * unit, (index + 1) * TILE_WIDTH * unit
            if width == 0 or state.size < end:
                continue
            widths = sa.select(log_checkpoints.c.size // unit % TILE_WIDTH).where(
                log_checkpoints.c.size >= first + unit,
                log_checkpoints.c.size < end,
                log_checkpoints.c.size <= state.published_size,
            )
            with self._database.read() as connection:
                found = list(connection.execute(widths.distinct()).scalars())
            paths += [Tile(level, index, int(each)).path for each in found]
        return paths


def _refuse_altered(leaves: Sequence[NewLeaf]) -> None:
    """Refuse to sign an entry whose leaf is not what was hashed when it was written."""
    for leaf in leaves:
        if leaf_hash(leaf.leaf) != leaf.hash:
            raise IntegrityError(
                f"The history entry {leaf.entry_id} was altered before it was sequenced: its leaf "
                f"hashes to {leaf_hash(leaf.leaf).hex()}, not to {leaf.hash.hex()}.",
                code="history-entry-altered",
                satisfied_by="Find out who changed it with `docflow audit verify`.",
            )


def _tiles_on(connection: sa.Connection) -> ReadTile:
    return lambda level, index, width: read_tile(connection, level, index, width)


def _overlaid(written: Sequence[tuple[Tile, bytes]], below: ReadTile) -> ReadTile:
    """Read tiles that were just made, and those on file where none was."""
    fresh = {(tile.level, tile.index): data for tile, data in written}

    def read(level: int, index: int, width: int) -> bytes:
        return fresh.get((level, index)) or below(level, index, width)

    return read


def _write_tile(uow: UnitOfWork, old_size: int, tile: Tile, data: bytes) -> None:
    level = tile.level or 0
    values = {"width": tile.width, "hashes": data}
    known = (old_size >> TILE_HEIGHT * level) - tile.index * TILE_WIDTH  # its width until now
    if known <= 0:
        uow.put(log_tiles, {"level": level, "index": tile.index, **values})
        return
    where = sa.and_(
        log_tiles.c.level == level, log_tiles.c.index == tile.index, log_tiles.c.width == known
    )
    if uow.alter(log_tiles, None, where, values) != 1:
        raise _mismatch(f"{tile.path} is not as wide as its size says")


def _mismatch(what: str) -> IntegrityError:
    return IntegrityError(
        f"The stored log does not agree with itself: {what}. Nothing is sequenced.",
        code="log-tree-mismatch",
        satisfied_by="Find out what was changed with `docflow audit verify`.",
    )
