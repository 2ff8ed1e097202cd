"""Slow and obvious twins of everything that is fast in skebm, written from the equations.

Nothing here imports skebm. Throughout W (H, V) are weights, b (V,) visible and c (H,) hidden
biases of an RBM with E(v, h) = -b.v - c.h - h.W v; the last sections hold Ising models and what
tests share in statistics.
"""

import functools
import itertools
import math

import numpy as np
from scipy import special, stats

# -- Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011) -------------------------------------------

_LOW = 0xFFFFFFFF


def philox4x32(counter, key):
    """Ten rounds on Python integers: counter of four, key of two 32-bit words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        left, right = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (right >> 32) ^ c1 ^ k0, right & _LOW, (left >> 32) ^ c3 ^ k1, left & _LOW
        k0, k1 = (k0 + 0x9E3779B9) & _LOW, (k1 + 0xBB67AE85) & _LOW
    return c0, c1, c2, c3


def random_bits(key, chain, step, stream, n_units):
    """32 bits for every unit: word k of counter 16 B + m serves unit 64 B + 16 k + m."""
    key = [int(word) for word in key]
    counters = {
        counter: philox4x32((counter, chain, step, stream), key)
        for counter in range(16 * ((n_units + 63) // 64))
    }
    return [counters[16 * (unit // 64) + unit % 16][unit % 64 // 16] for unit in range(n_units)]


def uniforms(key, chain, step, stream, n_units, single=False):
    """The middles of 2^32 (or, in single precision, 2^23) equal cells of (0, 1)."""
    bits = random_bits(key, chain, step, stream, n_units)
    if single:
        return [((word >> 9) + 0.5) / 2**23 for word in bits]
    return [(word + 0.5) / 2**32 for word in bits]


# -- the Bernoulli-Bernoulli RBM ---------------------------------------------------------------


def sigmoid(x):
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def log_sum_exp(values):
    largest = max(values)
    return largest + math.log(math.fsum(math.exp(value - largest) for value in values))


def all_states(n):
    """(2^n, n) float64 array of 0 and 1."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=n))).reshape(2**n, n)


def dot(x, y):
    return math.fsum(float(a) * float(b) for a, b in zip(x, y, strict=True))


def joint_energy(W, b, c, v, h):
    return -dot(b, v) - dot(c, h) - math.fsum(dot(row, v) for row, on in zip(W, h) if on)


def free_energy(W, b, c, v):
    """-log of the sum over all 2^H hidden states."""
    return -log_sum_exp([-joint_energy(W, b, c, v, h) for h in all_states(len(c))])


def hidden_fields(W, c, v):
    return [float(c_j) + dot(row, v) for c_j, row in zip(c, W)]


def hidden_probability(W, c, v):
    return [sigmoid(x) for x in hidden_fields(W, c, v)]


def visible_probability(W, b, h):
    return hidden_probability(np.transpose(W), b, h)


def closed_free_energy(W, b, c, v):
    """The same as :func:`free_energy` with the sums over hidden units done by hand."""
    return -dot(b, v) - math.fsum(softplus(x) for x in hidden_fields(W, c, v))


def log_partition(W, b, c):
    """log Z: one layer is enumerated, the other summed out."""
    if len(c) < len(b):
        W, b, c = np.transpose(W), c, b
    return log_sum_exp([-closed_free_energy(W, b, c, v) for v in all_states(len(b))])


def joint_log_partition(W, b, c):
    """log Z over all 2^(V + H) joint states."""
    hidden = all_states(len(c))
    return log_sum_exp([-joint_energy(W, b, c, v, h) for v in all_states(len(b)) for h in hidden])


def moments(W, b, c):
    """(E[h v'], E[v], E[h]) over all 2^(V + H) joint states."""
    log_z = joint_log_partition(W, b, c)
    products, visible, hidden = np.zeros((len(c), len(b))), np.zeros(len(b)), np.zeros(len(c))
    for v in all_states(len(b)):
        for h in all_states(len(c)):
            p = math.exp(-joint_energy(W, b, c, v, h) - log_z)
            products, visible, hidden = (
                products + p * np.outer(h, v),
                visible + p * v,
                hidden + p * h,
            )
    return products, visible, hidden


def probabilities(W, b, c):
    """p(v) of every state in the order of :func:`all_states`, (2^V,)."""
    values = np.array([-closed_free_energy(W, b, c, v) for v in all_states(len(b))])
    return np.exp(values - log_sum_exp(values.tolist()))


def log_path(W, b, c, base, beta, v):
    """log sum_h e^{-beta E(v, h)} (q(v) 2^-H)^(1 - beta), q independent units of log-odds base."""
    log_q = math.fsum(float(x) * float(a) - softplus(float(a)) for x, a in zip(v, base))
    path = [
        -beta * joint_energy(W, b, c, v, h) - (1.0 - beta) * len(c) * math.log(2.0)
        for h in all_states(len(c))
    ]
    return log_sum_exp(path) + (1.0 - beta) * log_q


def path_probabilities(W, b, c, base, beta):
    """The normalised distribution on the annealing path, (2^V,)."""
    values = np.array([log_path(W, b, c, base, beta, v) for v in all_states(len(b))])
    return np.exp(values - log_sum_exp(values.tolist()))


def log_pseudolikelihood(W, b, c, v):
    """Sum over i of log p(v_i | the others), by flipping every bit."""
    here, total = closed_free_energy(W, b, c, v), []
    for i in range(len(v)):
        flipped = np.array(v, dtype=float)
        flipped[i] = 1.0 - flipped[i]
        total.append(-softplus(here - closed_free_energy(W, b, c, flipped)))
    return math.fsum(total)


def gibbs_sweep(W, b, c, base, beta, v, hidden_uniforms, visible_uniforms):
    """h | v, then v | h, at inverse temperature beta over the field of the base."""
    fields = hidden_fields(W, c, v)
    h = [float(u < sigmoid(beta * x)) for u, x in zip(hidden_uniforms, fields)]
    fields = hidden_fields(np.transpose(W), b, h)
    return [
        float(u < sigmoid(beta * x + (1.0 - beta) * float(a)))
        for u, x, a in zip(visible_uniforms, fields, base)
    ]


def addressed_sweep(W, b, c, base, beta, v, key, chain, step, single=False):
    """A Gibbs sweep whose uniforms are addressed by stream 0 (hidden) and 1 (visible)."""
    hidden = uniforms(key, chain, step, 0, len(c), single)
    visible = uniforms(key, chain, step, 1, len(b), single)
    return gibbs_sweep(W, b, c, base, beta, v, hidden, visible)


def anneal(W, b, c, base, betas, v, key, chain):
    """(log-weight, last state) of one chain of annealed importance sampling (Neal 2001)."""
    increments = []
    for k in range(1, len(betas)):
        increments.append(log_path(W, b, c, base, betas[k], v))
        increments.append(-log_path(W, b, c, base, betas[k - 1], v))
        v = addressed_sweep(W, b, c, base, betas[k], v, key, chain, k)
    return math.fsum(increments), v


def log_path_between(first, last, beta, v):
    """log sum_h e^{-(1 - beta) E_0(v, h) - beta E_1(v, h)} of two RBMs (W, b, c) alike in shape."""
    return log_sum_exp([
        -(1.0 - beta) * joint_energy(*first, v, h) - beta * joint_energy(*last, v, h)
        for h in all_states(len(first[2]))
    ])  # fmt: skip


def anneal_between(first, last, betas, v, key, chain, single=False):
    """(log-weight, last state) of one chain between two RBMs: weigh, then move."""
    increments = []
    for k in range(1, len(betas)):
        increments.append(log_path_between(first, last, betas[k], v))
        increments.append(-log_path_between(first, last, betas[k - 1], v))
        mixed = [(1.0 - betas[k]) * x + betas[k] * y for x, y in zip(first, last)]
        v = addressed_sweep(*mixed, np.zeros(len(v)), 1.0, v, key, chain, k, single)
    return math.fsum(increments), v


def sweep_matrix(W, b, c, base, beta):
    """Probabilities of one Gibbs sweep on the path from visible state to state, (2^V, 2^V)."""
    visible, hidden = all_states(len(b)), all_states(len(c))
    up, down = np.empty((len(visible), len(hidden))), np.empty((len(hidden), len(visible)))
    for r, v in enumerate(visible):
        p = [sigmoid(beta * x) for x in hidden_fields(W, c, v)]
        up[r] = [math.prod(q if on else 1 - q for q, on in zip(p, h)) for h in hidden]
    for r, h in enumerate(hidden):
        fields = hidden_fields(np.transpose(W), b, h)
        p = [sigmoid(beta * x + (1 - beta) * float(a)) for x, a in zip(fields, base)]
        down[r] = [math.prod(q if on else 1 - q for q, on in zip(p, v)) for v in visible]
    return up @ down


def annealed_probabilities(W, b, c, base, betas):
    """What one draw of the base and a sweep at each of betas[1:] lead to, (2^V,)."""
    p = path_probabilities(W, b, c, base, 0.0)
    for beta in betas[1:]:
        p = p @ sweep_matrix(W, b, c, base, beta)
    return p


def bennett(forward, backward):
    """Bennett's log ratio by bisection of equation 12b, in plain sums."""
    m = math.log(len(forward) / len(backward))
    low, high = min(*forward, *backward) - 100.0, max(*forward, *backward) + 100.0
    for _ in range(200):
        r = (low + high) / 2
        mistaken = math.fsum(sigmoid(w - r - m) for w in forward)
        if mistaken > math.fsum(sigmoid(m + r - w) for w in backward):
            low = r
        else:
            high = r
    return r


# -- learning ----------------------------------------------------------------------------------


def contrastive_update(
    model, velocity, offsets, data, row_weights, chains, chain_weights, rate,
    momentum=0.0, weight_decay=0.0, l1=0.0, offset_rate=0.01,
):  # fmt: skip
    """One step of stochastic gradient ascent given the last states of the chains.

    ``model`` and ``velocity`` are (W, b, c), ``offsets`` (mu, lambda). With <.> the weighted
    sum over data rows over their number, minus the weighted mean over chains times the mean
    row weight:  dW = <(p - lambda)(v - mu)'>,  db = <v> - dW' lambda,  dc = <p> - dW mu.
    Decay and l1 act on W alone; l1 is the soft threshold after the step. Returns (model,
    velocity, lambda).
    """
    (W, b, c), (mu, lam) = model, offsets
    n_hidden, n_visible = len(c), len(b)
    data_shares = [w / len(data) for w in row_weights]
    total = math.fsum(chain_weights)
    chain_shares = [-math.fsum(data_shares) * w / total for w in chain_weights]
    rows = [*data, *chains]
    shares = data_shares + chain_shares
    active = [hidden_probability(W, c, v) for v in rows]

    dW = np.empty((n_hidden, n_visible))
    for j in range(n_hidden):
        for i in range(n_visible):
            dW[j, i] = math.fsum(
                s * (p[j] - lam[j]) * (v[i] - mu[i]) for s, p, v in zip(shares, active, rows)
            )
    db = [dot(shares, [v[i] for v in rows]) - dot(dW[:, i], lam) for i in range(n_visible)]
    dc = [dot(shares, [p[j] for p in active]) - dot(dW[j], mu) for j in range(n_hidden)]

    lam = followed_mean(lam, active[: len(data)], row_weights, offset_rate)
    return (*stepped(model, velocity, (dW, db, dc), rate, momentum, weight_decay, l1), lam)


def followed_mean(lam, active, row_weights, offset_rate=0.01):
    """The hidden offsets, a little nearer to the weighted mean of P(h = 1 | data)."""
    means = [dot(row_weights, [p[j] for p in active]) for j in range(len(lam))]
    return lam + offset_rate * (np.array(means) / math.fsum(row_weights) - lam)


def stepped(model, velocity, slopes, rate, momentum=0.0, weight_decay=0.0, l1=0.0):
    """(model, velocity) after a step along ``slopes``; decay and l1 act on W alone."""
    (W, b, c), (dW, db, dc) = model, slopes
    n_hidden, n_visible = len(c), len(b)
    step = np.empty_like(dW)
    for j in range(n_hidden):
        for i in range(n_visible):
            step[j, i] = rate * dW[j, i] - rate * weight_decay * W[j, i]
    velocity = (
        step + momentum * velocity[0],
        rate * np.array(db) + momentum * velocity[1],
        rate * np.array(dc) + momentum * velocity[2],
    )
    W, b, c = (x + move for x, move in zip(model, velocity))
    for j in range(n_hidden):
        for i in range(n_visible):
            size = max(abs(W[j, i]) - rate * l1, 0.0)
            W[j, i] = math.copysign(size, W[j, i])
    return (W, b, c), velocity


def flip_losses(W, b, c, v):
    """F(v with i flipped) - F(v) of every unit i."""
    differences = []
    for i in range(len(b)):
        flipped = np.array(v, dtype=float)
        flipped[i] = 1.0 - flipped[i]
        differences.append(closed_free_energy(W, b, c, flipped) - closed_free_energy(W, b, c, v))
    return differences


def ratio_matching(W, b, c, v):
    """Sum over i of (1 / (1 + p(v) / p(v with i flipped)))^2 (Deep Learning, equation 18.26)."""
    return math.fsum(sigmoid(-difference) ** 2 for difference in flip_losses(W, b, c, v))


def flip_slopes(W, b, c, data, row_weights, ratio):
    """Minus the gradient of the mean loss, a flip at a time: (dW, db, dc).

    The loss of a flip with D = F(flipped) - F(v) is -log sigmoid(D), or sigmoid(-D)^2.
    """
    dW, db, dc = np.zeros((len(c), len(b))), np.zeros(len(b)), np.zeros(len(c))
    for v, weight in zip(data, row_weights):
        for i, difference in enumerate(flip_losses(W, b, c, v)):
            flipped = np.array(v, dtype=float)
            flipped[i] = 1.0 - flipped[i]
            slope = sigmoid(-difference)
            if ratio:
                slope *= 2.0 * sigmoid(-difference) * sigmoid(difference)
            for state, share in ((flipped, slope), (np.array(v, dtype=float), -slope)):
                share *= -weight / len(data)  # dF/dtheta is minus what stands below
                p = np.array(hidden_probability(W, c, state))
                dW += share * np.outer(p, state)
                db += share * state
                dc += share * p
    return dW, db, dc


def flip_update(
    model, velocity, offsets, data, row_weights, rate, ratio,
    momentum=0.0, weight_decay=0.0, l1=0.0,
):  # fmt: skip
    """One step down the mean loss of flips, with both layers centred in the gradient.

    Centred parameters are b' = b + W' lambda and c' = c + W mu: the steps of W, b' and c'
    follow their gradients. Returns (model, velocity, lambda).
    """
    (W, _, c), (mu, lam) = model, offsets
    dW, db, dc = flip_slopes(*model, data, row_weights, ratio)
    dW = dW - np.outer(lam, db) - np.outer(dc, mu)
    slopes = dW, db - dW.T @ lam, dc - dW @ mu
    lam = followed_mean(lam, [hidden_probability(W, c, v) for v in data], row_weights)
    return (*stepped(model, velocity, slopes, rate, momentum, weight_decay, l1), lam)


def exact_update(model, velocity, offsets, data, row_weights, rate, *penalty):
    """:func:`contrastive_update` with every visible state as a chain, weighed by the model."""
    states, p = all_states(len(model[1])), probabilities(*model)
    return contrastive_update(
        model, velocity, offsets, data, row_weights, states, p, rate, *penalty
    )  # fmt: skip


# -- conditionals of spins, P(s) proportional to exp(sum_i h_i s_i + sum_{i<j} J_ij s_i s_j) -----


def flip_loss(loss, t):
    """f(t) of one conditional; t is half the log-odds of keeping the spin as it is."""
    flip = sigmoid(-2.0 * t)
    return {
        "pseudolikelihood": softplus(-2.0 * t), "ratio_matching": flip**2, "rise": math.exp(-t),
    }[loss]  # fmt: skip


def conditional_losses(loss, rows, weights, C):
    """Weighted mean loss of each conditional, one after the other, [p].

    Spins that are 0 are unknown, and so is a conditional that one of its coefficients leads to.
    """
    means = []
    for i in range(len(C)):
        total, mass = 0.0, 0.0
        for s, w in zip(rows, weights):
            if s[i] == 0 or any(s[j] == 0 for j in range(len(C)) if j != i):
                continue
            field = C[i][-1] + sum(C[i][j] * s[j] for j in range(len(C)) if j != i)
            total += w * flip_loss("rise" if loss == "logrise" else loss, s[i] * field)
            mass += w
        means.append(math.log(total / mass) if loss == "logrise" else total / mass)
    return means


def ising_distribution(J, h):
    """All spin states (2^p, p) and their probabilities."""
    states = 2 * all_states(len(h)) - 1
    logs = states @ np.asarray(h) + ((states @ np.asarray(J)) * states).sum(axis=1) / 2
    weights = np.exp(logs - logs.max())
    return states, weights / weights.sum()


def flip_derivatives(loss, t):
    """f'(t) and f''(t)."""
    u = sigmoid(-2.0 * t)
    return {
        "pseudolikelihood": (-2.0 * u, 4.0 * u * (1.0 - u)),
        "ratio_matching": (-4.0 * u**2 * (1.0 - u), 8.0 * u**2 * (1.0 - u) * (2.0 - 3.0 * u)),
        "rise": (-math.exp(-t), math.exp(-t)),
    }[loss]


def ising_statistics(s):
    """(p(p + 1) / 2,) spins and products of pairs, what fields and couplings multiply."""
    p = len(s)
    return np.array([*s, *(s[i] * s[j] for i in range(p) for j in range(i + 1, p))])


def ising_sandwich(J, h, loss):
    """n times the asymptotic covariance of (h, J_01, J_02, ...) from n rows of the model.

    H^-1 V H^-1 of the joint loss, or for "likelihood" the inverse Fisher information.
    """
    p = len(h)
    states, probabilities = ising_distribution(J, h)
    if loss == "likelihood":
        statistics = np.array([ising_statistics(s) for s in states])
        return np.linalg.inv(np.cov(statistics.T, aweights=probabilities, ddof=0))
    k = p * (p + 1) // 2
    H, V = np.zeros((k, k)), np.zeros((k, k))
    for s, w in zip(states, probabilities):
        score = np.zeros(k)
        for i in range(p):
            flipped = s.copy()
            flipped[i] *= -1
            # Terms of t_i are those that change sign with spin i, t_i half of what they lose.
            d = (ising_statistics(s) - ising_statistics(flipped)) / 2.0
            t = d @ np.array([*h, *(J[a][b] for a in range(p) for b in range(a + 1, p))])
            slope, curvature = flip_derivatives(loss, t)
            score += slope * d
            H += w * curvature * np.outer(d, d)
        V += w * np.outer(score, score)
    inverse = np.linalg.inv(H)
    return inverse @ V @ inverse


# -- the Ising model: E(s) = -h.s - sum over i < j of J_ij s_i s_j, spins -1 and 1 --------------


def all_spins(n):
    """Every state, (2^n, n), in the order of :func:`all_states`."""
    return 2.0 * all_states(n) - 1.0


def ising_energy(J, h, s):
    n = len(h)
    pairs = sum(J[i][j] * s[i] * s[j] for i in range(n) for j in range(i + 1, n))
    return -pairs - sum(h[i] * s[i] for i in range(n))


def ising_log_odds(J, h, s, i):
    """log P(s_i = 1 | others) / P(s_i = -1 | others), from the energies of both states."""
    up, down = ([*s[:i], spin, *s[i + 1 :]] for spin in (1, -1))
    return ising_energy(J, h, down) - ising_energy(J, h, up)


def ising_log_partition(J, h):
    return log_sum_exp([-ising_energy(J, h, s.tolist()) for s in all_spins(len(h))])


def ising_probabilities(J, h):
    weights = np.array([-ising_energy(J, h, s.tolist()) for s in all_spins(len(h))])
    p = np.exp(weights - weights.max())
    return p / p.sum()


def tempered(J, h, beta, a):
    """Parameters of exp(-beta E(s)) exp((1 - beta) a.s)."""
    return beta * np.asarray(J), beta * np.asarray(h) + (1 - beta) * np.asarray(a)


def ising_sweep(J, h, s, key, chain, step, backwards=False):
    """One sweep of a chain: spin i is 1 where its uniform is below P(s_i = 1 | others)."""
    s, u = [float(spin) for spin in s], uniforms(key, chain, step, 0, len(h))
    for i in sorted(range(len(h)), reverse=backwards):
        s[i] = 1.0 if u[i] < sigmoid(ising_log_odds(J, h, s, i)) else -1.0
    return s


def ising_transitions(J, h, order):
    """(2^n, 2^n) probabilities of going from one state to another in a scan in this order."""
    states = [tuple(s) for s in all_spins(len(h)).tolist()]
    number = {s: k for k, s in enumerate(states)}
    total = np.eye(len(states))
    for i in order:
        move = np.zeros_like(total)
        for s in states:
            p = sigmoid(ising_log_odds(J, h, list(s), i))
            for spin, share in ((1.0, p), (-1.0, 1.0 - p)):
                move[number[s], number[(*s[:i], spin, *s[i + 1 :])]] += share
        total = total @ move
    return total


def curie_weiss_log_partition(n, strength, field):
    """All couplings ``strength``: a sum over the number of spins that are up."""
    return log_sum_exp([
        math.log(math.comb(n, up)) + strength * ((2 * up - n) ** 2 - n) / 2 + field * (2 * up - n)
        for up in range(n + 1)
    ])  # fmt: skip


def ring_log_partition(strengths, field):
    """A closed chain: the trace of a product of 2 x 2 transfer matrices."""
    product = np.eye(2)
    spins = np.array([-1.0, 1.0])
    for strength in strengths:
        product = product @ np.exp(strength * np.outer(spins, spins) + field * spins)
    return math.log(np.trace(product))


def kac_ward_log_partition(places, edges, strengths):
    """Spins at ``places`` of a plane, joined by straight edges that do not cross; no field.

    log Z = n log 2 + sum of log cosh J_e + 1/2 log |det(1 - T)|, where T_{e e'} = tanh(J_e)
    e^{i turn / 2} for a directed edge e' that goes on, not back, where e ends (Kac, Ward 1952).
    """
    directed = [(a, b, k) for x, (a, b) in zip(strengths, edges) for k in (x,)]
    directed += [(b, a, k) for a, b, k in directed]
    T = np.zeros((len(directed), len(directed)), complex)
    step = lambda a, b: complex(*places[b]) - complex(*places[a])  # noqa: E731
    for row, (a, b, strength) in enumerate(directed):
        for column, (c, d, _) in enumerate(directed):
            if b == c and d != a:
                turn = np.angle(step(c, d) / step(a, b))
                T[row, column] = math.tanh(strength) * np.exp(0.5j * turn)
    log_det = np.linalg.slogdet(np.eye(len(T)) - T)[1]
    free = len(places) * math.log(2) + sum(math.log(math.cosh(x)) for x in strengths)
    return float(free + 0.5 * log_det)


# -- Gaussian models: precision K, location mu, a box -------------------------------------------


def long_uniforms(key, chain, step, n):
    """The middles of 2^52 equal cells: words 128 B + k and 64 beyond it serve unit 64 B + k."""
    bits = random_bits(key, chain, step, 0, 128 * -(-n // 64))
    pairs = [
        (bits[128 * (i // 64) + i % 64], bits[128 * (i // 64) + 64 + i % 64]) for i in range(n)
    ]
    return [((high << 20 | low >> 12) + 0.5) / 2**52 for high, low in pairs]


def gaussian_energy(K, mu, x):
    n = len(mu)
    return 0.5 * math.fsum(
        K[i][j] * (x[i] - mu[i]) * (x[j] - mu[j]) for i in range(n) for j in range(n)
    )


def truncated_quantile(u, mean, deviation, low, high):
    """Quantile u of a normal on [low, high], by logarithms of its distribution function."""
    a, b = (low - mean) / deviation, (high - mean) / deviation
    if a > 0:
        return -truncated_quantile(1.0 - u, -mean, deviation, -high, -low)
    at = lambda sign: np.logaddexp(  # noqa: E731
        math.log1p(-u) + special.log_ndtr(sign * a), math.log(u) + special.log_ndtr(sign * b)
    )
    below, above = at(1.0), at(-1.0)
    z = special.ndtri_exp(below) if below < above else -special.ndtri_exp(above)
    return min(max(mean + deviation * float(z), low), high)


def gaussian_conditional(K, mu, beta, D, m, x, i):
    """(mean, precision) of x_i given the others in exp(-beta E) prod_i N(m_i, 1 / D_i)^(1 - beta).

    The slope of its logarithm by x_i is straight: values at two places give both.
    """

    def slope(value):
        y = [*x[:i], value, *x[i + 1 :]]
        model = math.fsum(k * (a - b) for k, a, b in zip(K[i], y, mu))
        return beta * model + (1 - beta) * D[i] * (value - m[i])

    precision = slope(1.0) - slope(0.0)
    return -slope(0.0) / precision, precision


def gaussian_sweep(K, mu, low, high, beta, D, m, x, key, chain, step, backwards=False):
    """One sweep of a chain: variable i is the quantile of its uniform given the others."""
    x, u = [float(value) for value in x], long_uniforms(key, chain, step, len(mu))
    for i in sorted(range(len(mu)), reverse=backwards):
        mean, precision = gaussian_conditional(K, mu, beta, D, m, x, i)
        x[i] = truncated_quantile(u[i], mean, precision**-0.5, low[i], high[i])
    return x


def covariance_of_pairs(X, weights, centred=False):
    """Covariance of each pair of columns from the rows where both are known, NaN where unknown."""
    p = X.shape[1]
    mean, S = np.zeros(p), np.empty((p, p))
    for j in range(p):
        if not centred:
            known = [(x, w) for x, w in zip(X[:, j], weights) if not math.isnan(x)]
            mean[j] = sum(w * x for x, w in known) / sum(w for _, w in known)
    for j in range(p):
        for k in range(p):
            both = [
                (w, (x - mean[j]) * (y - mean[k]))
                for x, y, w in zip(X[:, j], X[:, k], weights)
                if not math.isnan(x + y)
            ]
            S[j, k] = sum(w * product for w, product in both) / sum(w for w, _ in both)
    return S


def ridge_inverse(S, ridge, standardize):
    """The inverse of S with a ridge on its diagonal, or on that of the correlations."""
    scale = np.sqrt(S.diagonal()) if standardize else np.ones(len(S))
    R = S / np.outer(scale, scale) + ridge * np.eye(len(S))
    return np.linalg.inv(R) / np.outer(scale, scale)


def infinitesimal_jackknife(estimate, weights, step=1e-5):
    """Standard errors of ``estimate(weights)`` from its derivatives by the weight of each row."""
    total = 0.0
    for t, weight in enumerate(weights):
        more, less = weights.copy(), weights.copy()
        more[t] += step
        less[t] -= step
        total = total + weight * ((estimate(more) - estimate(less)) / (2 * step)) ** 2
    return np.sqrt(total)


def false_discovery_adjusted(pvalues):
    """Benjamini and Hochberg: the least rate at which each hypothesis is rejected."""
    ordered = sorted(pvalues)
    m = len(ordered)
    rates = [m * value / (k + 1) for k, value in enumerate(ordered)]
    return [min(1.0, *rates[ordered.index(value) :], 1.0) for value in pvalues]


# -- Gaussians inside bounds -------------------------------------------------------------------


def interval_weight(x, low, high, function, cutoff):
    """h(x) of generalised score matching and its derivative, at one number."""
    distance, sign = min((x - low, 1.0), (high - x, -1.0))
    if math.isinf(distance):
        return 1.0, 0.0
    h, slope = {
        "min": lambda d: (d, 1.0),
        "log1p": lambda d: (math.log(1 + d), 1 / (1 + d)),
        "square": lambda d: (d * d, 2 * d),
    }[function](distance)
    return (h, sign * slope) if h < cutoff else (cutoff, 0.0)


def interval_loss(X, K, eta, low, high, function, cutoff, weights=None, ridge=0.0):
    """Mean over rows of h s^2 / 2 + h ds/dx + h' s, s = eta - K x the slope of the log density."""
    n, p = X.shape
    weights = np.ones(n) if weights is None else weights
    total = 0.0
    for x, weight in zip(X, weights):
        for j in range(p):
            s = eta[j] - sum(K[j, i] * x[i] for i in range(p))
            h, slope = interval_weight(x[j], low[j], high[j], function, cutoff)
            total += weight * (h * s * s / 2 - h * K[j, j] + slope * s)
    return total / weights.sum() + 0.5 * ridge * (K**2).sum()


@functools.cache
def legendre(n_nodes):
    """Nodes and weights of Gauss and Legendre on (-1, 1); made of eigenvalues, which take long."""
    return np.polynomial.legendre.leggauss(n_nodes)


def interval_nodes(low, high, breaks, n_nodes=40):
    """Nodes and weights of Gauss and Legendre between all neighbours of bounds and breaks."""
    ends = np.unique([low, high, *(b for b in breaks if low < b < high)])
    nodes, weights = legendre(n_nodes)
    half = np.diff(ends)[:, None] / 2
    return (ends[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()


# -- statistics --------------------------------------------------------------------------------

ALPHA = 1e-6  # false-alarm rate of one statistical assertion


def z_limit(n_comparisons=1):
    """Standard errors that the largest of so many normal deviates exceeds at rate ALPHA."""
    return float(stats.norm.isf(ALPHA / 2 / n_comparisons))


def exact_draws(W, b, c, n, seed):
    """Independent draws from the model by enumeration of its visible states, (n, V)."""
    p = probabilities(W, b, c)
    return all_states(len(b))[np.random.default_rng(seed).choice(len(p), n, p=p / p.sum())]


def state_counts(X):
    """How often each state of :func:`all_states` occurs among the rows of X."""
    index = np.asarray(X, dtype=np.int64) @ 2 ** np.arange(X.shape[1])[::-1]
    return np.bincount(index, minlength=2 ** X.shape[1])


def chi_square_p_value(counts, p):
    """p-value of Pearson's test, states with fewer than 5 expected counts pooled."""
    expected = counts.sum() * np.asarray(p)
    rare = expected < 5
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    statistic = ((counts - expected) ** 2 / np.maximum(expected, 1e-300)).sum()
    return float(stats.chi2.sf(statistic, len(counts) - 1))


def detected_variation(n_samples, n_states):
    """Total variation from p that Pearson's test finds at ALPHA, but for one case in 10^6.

    A deviation of total variation d has noncentrality at least 4 n d^2 (Cauchy-Schwarz).
    """
    critical = stats.chi2.isf(ALPHA, n_states - 1)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        missed = stats.ncx2.cdf(critical, n_states - 1, max(4 * n_samples * middle**2, 1e-12))
        low, high = (middle, high) if missed > ALPHA else (low, middle)
    return high


def score_matching_objective(K, S, penalty, ridge=0.0):
    """1/2 tr(K (S + ridge I) K) - tr K + the sum of |K_ij| times penalties (p, p), i != j."""
    p, total = len(S), 0.0
    for i in range(p):
        total -= K[i, i]
        for j in range(p):
            total += 0.5 * ridge * K[i, j] ** 2
            total += np.abs(K[i, j]) * penalty[i, j] if i != j and K[i, j] else 0.0
            for k in range(p):
                total += 0.5 * K[i, k] * S[k, j] * K[j, i]
    return total


def score_matching_descent(S, penalty, ridge=0.0, n_sweeps=2000):
    """The minimum of that, one entry after the other: slow, and nothing but the formulas."""
    p = len(S)
    K = np.diag(1.0 / (S.diagonal() + ridge))
    for _ in range(n_sweeps):
        for i in range(p):
            rest = sum(K[i, k] * S[k, i] for k in range(p) if k != i)
            K[i, i] = (1.0 - rest) / (S[i, i] + ridge)
            for j in range(i + 1, p):
                slope = sum(K[i, k] * S[k, j] + K[j, k] * S[k, i] for k in range(p))
                z = (S[i, i] + S[j, j]) * K[i, j] - slope
                size = max(abs(z) - 2.0 * penalty[i, j], 0.0)
                K[i, j] = K[j, i] = np.sign(z) * size / (S[i, i] + S[j, j] + 2.0 * ridge)
    return K


def held_out_score_matching_loss(K, X, weights, location, scale):
    """1/2 tr(K S K) - tr K, K of scaled columns, S the products of others in its units.

    Each entry of S is the weighted mean over the rows that know both columns.
    """
    p, S = len(K), np.zeros((len(K), len(K)))
    for i in range(p):
        for j in range(p):
            total = share = 0.0
            for x, weight in zip(X, weights):
                product = (x[i] - location[i]) / scale[i] * (x[j] - location[j]) / scale[j]
                if not np.isnan(product):
                    total, share = total + weight * product, share + weight
            S[i, j] = total / share
    return score_matching_objective(K, S, np.zeros((p, p)))


# -- noise-contrastive estimation --------------------------------------------------------------


def contrast(log_p_x, log_p_y, log_noise_x, log_noise_y, nu, weights=None):
    """Loss of the classifier of data x against noise y, from log-densities of both."""
    weights = [1.0] * len(log_p_x) if weights is None else weights
    shift = math.log(nu)
    data = math.fsum(
        w * softplus(-(p - q - shift)) for w, p, q in zip(weights, log_p_x, log_noise_x)
    ) / math.fsum(weights)
    noise = math.fsum(softplus(p - q - shift) for p, q in zip(log_p_y, log_noise_y))
    return data + nu * noise / len(log_p_y)


def contrast_covariance(p, q, features, nu):
    """N times the covariance of estimates and c = -log Z (Gutmann, Hyvarinen 2012, theorem 3).

    ``p`` and ``q`` are probabilities of states (or densities times widths of cells) under data and
    noise, ``features`` (states, k) those of the exponent.
    """
    g = np.column_stack([features, np.ones(len(p))])
    P = nu * q / (p + nu * q)
    inverse = np.linalg.inv((g * (p * P)[:, None]).T @ g)
    mean = inverse @ ((p * P) @ g)
    return inverse - (1.0 + 1.0 / nu) * np.outer(mean, mean)


def normal_table_entry(sigma, nu):
    """N var of (lambda, c) for data N(0, 1), -lambda x^2 / 2 + c, and noise N(0, sigma^2)."""
    x = np.linspace(-12.0, 12.0, 20001)
    p, q = (stats.norm.pdf(x, scale=s) * (x[1] - x[0]) for s in (1.0, sigma))
    return contrast_covariance(p, q, -0.5 * x[:, None] ** 2, nu).diagonal()
