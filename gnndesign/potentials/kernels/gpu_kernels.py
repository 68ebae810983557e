"""Triton kernels that are the same for every network, and what generated ones share.

A record of an edge has eight numbers: the unit vector from the center to the neighbor
(3), the inverse distance, the place t in its interval of the radial table (0 to 1), the
interval's width h, and two that only align it.

Importing this file imports Triton; `gpu.py` does so when the first network is prepared.
"""
# Triton's language is not Python's: what has a type here is compiled for the device.
# pyright: basic, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportIndexIssue=false
# ruff: noqa: ANN001, ANN201, PLR0915, PLR0917

import triton
import triton.language as tl


@triton.jit
def hermite_values(t, h):
    """Factors of the left slope, the mean slope and the right slope in a weight.

    With m = (w1 - w0) / h, Hermite's cubic (radial_table.py) is
    w = w0 + h (t (1 - t)² w0' + t² (3 - 2t) m - t² (1 - t) w1'). Differences of two
    nodes are taken when the table is made, in float64: in float32 they would have lost
    three digits of the slope.
    """
    rest = 1.0 - t
    return h * t * rest * rest, h * t * t * (3.0 - 2.0 * t), -h * t * t * rest


@triton.jit
def hermite_slopes(t):
    """The same for the weight's derivative with respect to the distance."""
    return (1.0 - t) * (1.0 - 3.0 * t), 6.0 * t * (1.0 - t), -t * (2.0 - 3.0 * t)


@triton.jit
def silu(x):
    """A number times its sigmoid."""
    return x * tl.sigmoid(x)


@triton.jit
def silu_slope(x):
    """Derivative of `silu`."""
    s = tl.sigmoid(x)
    return s * (1.0 + x * (1.0 - s))


@triton.jit
def tanh(x):
    """Hyperbolic tangent."""
    return 2.0 * tl.sigmoid(2.0 * x) - 1.0


@triton.jit(do_not_specialize=["n_edges"])
def edge_records(
    positions,
    cells,
    system_index,
    centers,
    neighbors,
    shifts,
    segment_starts,
    segment_widths,
    segment_intervals,
    records,
    intervals,
    receivers,
    below,
    n_edges,
    N_SEGMENTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Geometry of every edge, and its place in the radial table.

    `below` is set to 1 where a distance is below the table's first node.
    """
    edge = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = edge < n_edges
    center = tl.load(centers + edge, mask=real, other=0)
    neighbor = tl.load(neighbors + edge, mask=real, other=0)
    tl.store(receivers + edge, neighbor.to(tl.int32), mask=real)
    number = positions.dtype.element_ty
    a = tl.load(shifts + 3 * edge, mask=real, other=0).to(number)
    b = tl.load(shifts + 3 * edge + 1, mask=real, other=0).to(number)
    c = tl.load(shifts + 3 * edge + 2, mask=real, other=0).to(number)
    cell = cells + 9 * tl.load(system_index + center, mask=real, other=0)
    here, there = positions + 3 * center, positions + 3 * neighbor
    x = tl.load(there) - tl.load(here)
    y = tl.load(there + 1) - tl.load(here + 1)
    z = tl.load(there + 2) - tl.load(here + 2)
    x += a * tl.load(cell) + b * tl.load(cell + 3) + c * tl.load(cell + 6)
    y += a * tl.load(cell + 1) + b * tl.load(cell + 4) + c * tl.load(cell + 7)
    z += a * tl.load(cell + 2) + b * tl.load(cell + 5) + c * tl.load(cell + 8)
    distance = tl.sqrt(tl.where(real, x * x + y * y + z * z, 1.0))
    # Not "distance < first": a distance that is not a number is below, too.
    usable = distance >= tl.load(segment_starts).to(number)
    one = tl.full([BLOCK], 1, tl.int32)
    tl.store(below + edge * 0, one, mask=real & (usable == 0))
    interval = tl.zeros([BLOCK], tl.int32)
    t = tl.zeros([BLOCK], number)
    width = tl.full([BLOCK], 1.0, number)
    for segment in range(N_SEGMENTS):
        begin = tl.load(segment_starts + segment).to(number)
        h = tl.load(segment_widths + segment).to(number)
        before = tl.load(segment_intervals + segment)
        count = tl.load(segment_intervals + segment + 1) - before
        steps = (distance - begin) / h
        # A list with a skin has edges beyond the last node, where weights vanish.
        k = tl.minimum(steps, (count - 1).to(number)).to(tl.int32)
        inside = distance >= begin
        interval = tl.where(inside, before + k, interval)
        t = tl.where(inside, tl.minimum(steps - k.to(number), 1.0), t)
        width = tl.where(inside, h, width)
    inverse = 1.0 / distance
    kind = records.dtype.element_ty
    record = records + 8 * edge
    tl.store(intervals + edge, interval, mask=real)
    tl.store(record, (x * inverse).to(kind), mask=real)
    tl.store(record + 1, (y * inverse).to(kind), mask=real)
    tl.store(record + 2, (z * inverse).to(kind), mask=real)
    tl.store(record + 3, inverse.to(kind), mask=real)
    tl.store(record + 4, t.to(kind), mask=real)
    tl.store(record + 5, width.to(kind), mask=real)


@triton.jit(do_not_specialize=["n_edges"])
def edge_mirrors(
    centers, neighbors, shifts, row_starts, mirrors, n_edges, BLOCK: tl.constexpr
):
    """Of each edge (i, j, shift) the edge (j, i, -shift).

    -1 where the list has none: rounding allows that for pairs at the cutoff, where
    weights vanish.
    """
    edge = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = edge < n_edges
    center = tl.load(centers + edge, mask=real, other=0)
    neighbor = tl.load(neighbors + edge, mask=real, other=0)
    a = tl.load(shifts + 3 * edge, mask=real, other=0)
    b = tl.load(shifts + 3 * edge + 1, mask=real, other=0)
    c = tl.load(shifts + 3 * edge + 2, mask=real, other=0)
    start = tl.load(row_starts + neighbor, mask=real, other=0)
    stop = tl.load(row_starts + neighbor + 1, mask=real, other=0)
    mirror = tl.full([BLOCK], -1, tl.int32)
    longest = tl.max(stop - start, 0)
    for step in range(longest):
        other = start + step
        listed = real & (other < stop)
        match = listed & (tl.load(neighbors + other, mask=listed, other=-1) == center)
        there = shifts + 3 * other.to(tl.int64)
        match = match & (tl.load(there, mask=match, other=0) == -a)
        match = match & (tl.load(there + 1, mask=match, other=0) == -b)
        match = match & (tl.load(there + 2, mask=match, other=0) == -c)
        mirror = tl.where(match, other, mirror)
    tl.store(mirrors + edge, mirror, mask=real)


@triton.jit
def atom_gradients(
    row_starts,
    mirrors,
    records,
    slots,
    gradients,
    virials,
    N_SLOTS: tl.constexpr,
    SLOTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """dE/dr of an atom, and its part of dE/dstrain (xx, yy, zz, yz, xz, xy).

    With H_e the gradient with respect to the vector of edge e through the message that
    its center sends: dE/dr = Σ_e H_mirror(e) - H_e over the atom's edges.
    """
    atom = tl.program_id(0).to(tl.int64)
    start = tl.load(row_starts + atom)
    stop = tl.load(row_starts + atom + 1)
    slot = tl.arange(0, SLOTS)[None, :]
    used = slot < N_SLOTS
    sum_x = tl.zeros([BLOCK], tl.float64)
    sum_y = tl.zeros([BLOCK], tl.float64)
    sum_z = tl.zeros([BLOCK], tl.float64)
    xx = tl.zeros([BLOCK], tl.float64)
    yy = tl.zeros([BLOCK], tl.float64)
    zz = tl.zeros([BLOCK], tl.float64)
    yz = tl.zeros([BLOCK], tl.float64)
    xz = tl.zeros([BLOCK], tl.float64)
    xy = tl.zeros([BLOCK], tl.float64)
    for first in range(start, stop, BLOCK):
        edge = first + tl.arange(0, BLOCK).to(tl.int64)
        real = edge < stop
        mask = real[:, None] & used
        own = slots + (edge[:, None] * N_SLOTS + slot) * 4
        h_x = tl.sum(tl.load(own, mask=mask, other=0.0).to(tl.float64), 1)
        h_y = tl.sum(tl.load(own + 1, mask=mask, other=0.0).to(tl.float64), 1)
        h_z = tl.sum(tl.load(own + 2, mask=mask, other=0.0).to(tl.float64), 1)
        mirror = tl.load(mirrors + edge, mask=real, other=-1).to(tl.int64)
        mask = (mirror >= 0)[:, None] & used
        back = slots + (mirror[:, None] * N_SLOTS + slot) * 4
        sum_x += tl.sum(tl.load(back, mask=mask, other=0.0).to(tl.float64), 1) - h_x
        sum_y += tl.sum(tl.load(back + 1, mask=mask, other=0.0).to(tl.float64), 1) - h_y
        sum_z += tl.sum(tl.load(back + 2, mask=mask, other=0.0).to(tl.float64), 1) - h_z
        record = records + 8 * edge
        distance = 1.0 / tl.load(record + 3, mask=real, other=1.0).to(tl.float64)
        x = tl.load(record, mask=real, other=0.0).to(tl.float64) * distance
        y = tl.load(record + 1, mask=real, other=0.0).to(tl.float64) * distance
        z = tl.load(record + 2, mask=real, other=0.0).to(tl.float64) * distance
        xx += x * h_x
        yy += y * h_y
        zz += z * h_z
        yz += 0.5 * (y * h_z + z * h_y)
        xz += 0.5 * (x * h_z + z * h_x)
        xy += 0.5 * (x * h_y + y * h_x)
    tl.store(gradients + 3 * atom, tl.sum(sum_x, 0))
    tl.store(gradients + 3 * atom + 1, tl.sum(sum_y, 0))
    tl.store(gradients + 3 * atom + 2, tl.sum(sum_z, 0))
    virial = virials + 6 * atom
    tl.store(virial, tl.sum(xx, 0))
    tl.store(virial + 1, tl.sum(yy, 0))
    tl.store(virial + 2, tl.sum(zz, 0))
    tl.store(virial + 3, tl.sum(yz, 0))
    tl.store(virial + 4, tl.sum(xz, 0))
    tl.store(virial + 5, tl.sum(xy, 0))


@triton.jit
def system_strains(system_starts, virials, strains, BLOCK: tl.constexpr):
    """dE/dstrain of a structure (3, 3), one component: the sum over its atoms."""
    system = tl.program_id(0).to(tl.int64)
    component = tl.program_id(1)
    start = tl.load(system_starts + system)
    stop = tl.load(system_starts + system + 1)
    total = tl.zeros([BLOCK], tl.float64)
    for first in range(start, stop, BLOCK):
        atom = first + tl.arange(0, BLOCK).to(tl.int64)
        total += tl.load(virials + 6 * atom + component, mask=atom < stop, other=0.0)
    value = tl.sum(total, 0)
    # xx, yy, zz, yz, xz, xy: both places in the matrix.
    row = tl.where(component < 3, component, tl.where(component == 3, 1, 0))
    column = tl.where(component < 3, component, tl.where(component == 5, 1, 2))
    tl.store(strains + 9 * system + 3 * row + column, value)
    tl.store(strains + 9 * system + 3 * column + row, value)
