"""The rule, gathered: it is linear in spikes, so it is not applied spike by spike.

Let s_i(t) be the spikes of a presynaptic neuron i, q_j(t) those of a postsynaptic j, sigma(t) the sign of the phase. With each
trace written as the sum of the spikes that made it, k and d its kick and its decay in a step, c its share in what is read,

    dW_ij = sum_t sigma [s_i read_j + q_j read_i] = sum_t s_i(t) G_j(t) + sum over traces of r_i(0) F_j

    G_j(t) = sigma read_j(t) + sum over traces of c a_j(t),   a_j(t - 1) = d (a_j(t) + k sigma q_j(t)),   F_j = c a_j(-1)/k

where a runs backwards from the end of its phase and r_i(0) is the trace at its start. So one row of numbers is gathered for
each presynaptic spike, and phases with the same presynaptic spikes (the replayed input) share their G. `tests/test_engines.py`
holds this against Brian2, which applies the rule as it is written.
"""

from __future__ import annotations

from numba import int64, uint64

from ...kernels import compiled, inlined
from ...memory import pointer, shifted
from ...share import share
from .draw import GROUP
from .drive import PATTERNS, TILE, write_patterns
from .reference import own, reference
from .vectors import clear, fma, lanes_of, load, load_first, lowest_bit, spread, store, store_first, where

BLOCK = 16  # rows of dW that are written in one piece


@inlined
def rewind(b, p, thread, offset, plan, traces, scratch, kept):
    """What the rule reads in a phase, and what it makes of it backwards: G, F and the biases' change are kept.

    Traces are made again from the spikes, some neurons at a time, whose numbers then stay in registers and the first cache.
    """
    M, row, steps, width, K = offset[-1], plan.row[p], plan.steps[p], offset[1], len(traces.share)
    words, stride, sign = scratch.q16.shape[2], kept.shared.shape[2], plan.sign[p]
    read = shifted(pointer(scratch.read), thread * scratch.read.shape[1])
    q = shifted(pointer(scratch.q16), thread * scratch.q16.shape[1] * words)
    bias, g = shifted(pointer(kept.bias), b * M), shifted(pointer(kept.g), (b * kept.g.shape[1] + row) * M)
    shared = shifted(pointer(kept.shared), (b * kept.shared.shape[1] + plan.raster_from[p] - plan.window[0]) * stride)
    start = shifted(pointer(kept.start), (b * kept.start.shape[1] + plan.slot[p]) * K * M)
    forward = shifted(pointer(kept.forward), (b * kept.start.shape[1] + plan.slot[p]) * K * M)
    lanes, step, share = lanes_of(read), spread(traces.bias_step), spread(sign * traces.share_sum)
    for n in range(0, M, lanes):
        bits, first = row * words + plan.bit[n // lanes] // GROUP, plan.bit[n // lanes] % GROUP
        for k in range(K):
            decay, kick, part = spread(traces.decay[k]), spread(traces.kick[k]), spread(sign * traces.share[k])
            trace = load(start, k * M + n)
            for t in range(steps):
                trace = trace * decay
                store(read, t * lanes, fma(trace, part, load(read, t * lanes)) if k else trace * part)
                trace = trace + where(q, bits + t * words, first, kick)
        change = load(bias, n)
        for k in range(K):
            decay, kick, part = spread(traces.decay[k]), spread(sign * traces.kick[k]), spread(traces.share[k])
            a = part - part
            for t in range(steps - 1, -1, -1):
                total = load(read, t * lanes)
                if k == 0:
                    change = fma(step, total, change) + where(q, bits + t * words, first, share)
                total = fma(part, a, total)
                a = (a + where(q, bits + t * words, first, kick)) * decay
                if k < K - 1:
                    store(read, t * lanes, total)
                elif n < width:
                    store(shared, t * stride + n, load(shared, t * stride + n) + total if row else total)
                else:
                    store(g, t * M + n, total)
            factor = spread(traces.share[k] / traces.kick[k])
            store(forward, k * M + n, fma(a, factor, load(forward, k * M + n)))
        store(bias, n, change)


@inlined
def window(words, n, stride, first, count):
    """Up to 64 bits, from bit `first` on, of the words of neuron n; of which `count` are wanted."""
    place, shift = (n // GROUP * stride + (first >> 6)) * GROUP + n % GROUP, uint64(first & 63)
    bits = words[place] >> shift
    if shift and (first & 63) + count > 64:
        bits |= words[place + GROUP] << (uint64(64) - shift)
    return bits if count >= 64 else bits & ((uint64(1) << uint64(count)) - uint64(1))


@compiled
def gather_dense(desk, many, more, source, tables, sums, change):
    """dW of a dense coupling, flat, summed over the batch in a fixed order; tiles of its columns are shared out.

    Where there is `more`, what stands in it is of samples that come before these.
    With `many` spikes, four rows of G at a time are looked up; otherwise they are added one by one. Each thread has a table, and a
    tile to sum in: what another core writes nearby would hold it up.
    """
    width = TILE * lanes_of(pointer(change))
    tiles, threads = (source.post + width - 1) // width, desk.shape[0]
    whole = tiles // threads * threads
    units = whole + (tiles - whole) * threads
    share(desk, gather_tile, (whole, threads, many, more, reference(source), tables, sums, change), units)


@inlined
def gather_tile(unit, thread, whole, threads, many, more, source, tables, sums, change):
    """dW in a tile, or in a block of its rows: tiles that threads cannot share evenly come in a block for each of them.

    A thread takes neighbouring tiles, which have lines of the cache in common.
    """
    source = own(source)
    tile, block, blocks = unit % threads * (whole // threads) + unit // threads, 0, 1
    if unit >= whole:
        tile, block, blocks = whole + (unit - whole) // threads, (unit - whole) % threads, threads
    lanes, width = lanes_of(pointer(change)), source.post
    table, tile_sums = pointer(tables[thread]), pointer(sums[thread])
    at, low, high = tile * TILE * lanes, source.pre * block // blocks, source.pre * (block + 1) // blocks
    clear(tile_sums, (high - low) * TILE * lanes)
    if more:
        for row in range(low, high):
            for place in range(0, min(TILE * lanes, width - at), lanes):
                before = load_first(pointer(change), row * width + at + place, width - at - place)
                store(tile_sums, (row - low) * TILE * lanes + place, before)
    for b in range(len(source.lit_count)):
        if many:
            G = shifted(pointer(source.g[b]), source.column + at)
            tabulate(G, source.g.shape[2], source.rows, table)
        add_sample(source, b, low, high, many, table, tile_sums, at)
    for row in range(low, high):
        for place in range(0, min(TILE * lanes, width - at), lanes):
            total = load(tile_sums, (row - low) * TILE * lanes + place)
            store_first(pointer(change), row * width + at + place, total, width - at - place)


@inlined
def tabulate(G, stride, rows, table):
    """Write the sums of all patterns of four rows of a tile to the table, for each four rows."""
    lanes = lanes_of(G)
    zero = spread(G[0] - G[0])
    for four in range((rows + 3) // 4):
        row = 4 * four
        for vector in range(TILE):
            at = vector * lanes
            a, b, c, d = load(G, row * stride + at), zero, zero, zero
            if row + 1 < rows:
                b = load(G, (row + 1) * stride + at)
            if row + 2 < rows:
                c = load(G, (row + 2) * stride + at)
            if row + 3 < rows:
                d = load(G, (row + 3) * stride + at)
            write_patterns(table, four * PATTERNS * TILE * lanes + at, TILE * lanes, zero, a, b, c, d)


@inlined
def add_sample(source, b, low, high, many, table, sums, at):
    """Add what a sample's neurons from low to high contribute to a tile of dW, in four registers."""
    lanes, rows, bit, reach = lanes_of(sums), source.rows, source.bit, source.g.shape[2]
    G = shifted(pointer(source.g[b]), source.column + at)
    words, stride = pointer(source.words[b]), source.words.shape[2]
    lit, count, first = pointer(source.lit[b]), source.lit_count[b], source.first
    starts, pre = source.start.shape[1] * source.start.shape[2], source.start.shape[3]
    start = shifted(pointer(source.start[b]), first)
    forward, post = shifted(pointer(source.forward[b]), source.column + at), source.forward.shape[3]
    for n in range(count):
        if lit[n] < low:
            continue
        if lit[n] >= high:
            break
        total = shifted(sums, (lit[n] - low) * TILE * lanes)
        w, x = load(total, 0), load(total, lanes)
        y, z = load(total, 2 * lanes), load(total, 3 * lanes)
        for chunk in range(0, rows, 64):
            bits = window(words, first + n, stride, bit + chunk, min(64, rows - chunk))
            place = chunk // 4 * PATTERNS * TILE * lanes
            while bits:
                if many:  # four rows at a time, as their pattern
                    row = shifted(table, place + int64(bits & uint64(15)) * TILE * lanes)
                    place += PATTERNS * TILE * lanes
                    bits >>= uint64(4)
                else:
                    row = shifted(G, (chunk + lowest_bit(bits)) * reach)
                    bits &= bits - uint64(1)
                w, x = w + load(row, 0), x + load(row, lanes)
                y, z = y + load(row, 2 * lanes), z + load(row, 3 * lanes)
        w, x, y, z = add_starts(starts, shifted(start, n), pre, forward, post, w, x, y, z)
        store(total, 0, w)
        store(total, lanes, x)
        store(total, 2 * lanes, y)
        store(total, 3 * lanes, z)


@inlined
def add_starts(starts, start, pre, forward, post, w, x, y, z):
    """Add a neuron's traces at the starts of the phases, one every `pre` numbers, times their rows of F to four vectors."""
    lanes = lanes_of(forward)
    for k in range(starts):
        factor, row = spread(start[k * pre]), shifted(forward, k * post)
        w, x = fma(factor, load(row, 0), w), fma(factor, load(row, lanes), x)
        y, z = fma(factor, load(row, 2 * lanes), y), fma(factor, load(row, 3 * lanes), z)
    return w, x, y, z


@compiled
def gather_products(desk, more, source, shown, change):
    """dW of a dense coupling above neurons that do not spike, flat: a product for each sample. Blocks of its rows are shared out."""
    share(desk, gather_rows, (more, reference(source), shown, change), (source.pre + BLOCK - 1) // BLOCK)


@inlined
def gather_rows(unit, thread, more, source, shown, change):
    """Write a block of rows. Products with 0 are left out: `shown` has room for the samples of a neuron that are not 0."""
    source = own(source)
    lanes, width, these = lanes_of(pointer(change)), source.post, pointer(shown[thread])
    for n in range(unit * BLOCK, min((unit + 1) * BLOCK, source.pre)):
        count = 0
        for b in range(len(source.start)):
            these[count] = b
            count += int64(source.start[b, 0, 0, source.first + n] != 0)
        for at in range(0, width, TILE * lanes):
            total, rest = shifted(pointer(change), n * width + at), width - at
            w, x = load_first(total, 0, rest if more else 0), load_first(total, lanes, rest - lanes if more else 0)
            y = load_first(total, 2 * lanes, rest - 2 * lanes if more else 0)
            z = load_first(total, 3 * lanes, rest - 3 * lanes if more else 0)
            for k in range(count):
                b = these[k]
                start = shifted(pointer(source.start[b]), source.first + n)
                forward = shifted(pointer(source.forward[b]), source.column + at)
                w, x, y, z = add_starts(1, start, 0, forward, 0, w, x, y, z)
            store_first(total, 0, w, rest)
            store_first(total, lanes, x, rest - lanes)
            store_first(total, 2 * lanes, y, rest - 2 * lanes)
            store_first(total, 3 * lanes, z, rest - 3 * lanes)


@compiled
def gather_listed(pre, post, weight, scale, more, source, change):
    """dW of any coupling, synapse by synapse in the order of the neurons below, summed over the batch in a fixed order."""
    if not more:
        change[:] = 0
    for b in range(len(source.lit_count)):
        n = 0
        for synapse in range(len(pre)):
            while n < source.lit_count[b] and source.lit[b, n] < pre[synapse]:
                n += 1
            if n == source.lit_count[b]:
                break
            if source.lit[b, n] > pre[synapse]:
                continue
            column, total = source.column + post[synapse], scale - scale
            for chunk in range(0, source.rows, 64):
                words, count = pointer(source.words[b]), min(64, source.rows - chunk)
                bits = window(words, source.first + n, source.words.shape[2], source.bit + chunk, count)
                while bits:
                    total += source.g[b, chunk + lowest_bit(bits), column]
                    bits &= bits - uint64(1)
            for slot in range(source.start.shape[1]):
                for k in range(source.start.shape[2]):
                    total += source.start[b, slot, k, source.first + n] * source.forward[b, slot, k, column]
            change[weight[synapse]] += scale * total
