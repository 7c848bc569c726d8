/* windows.fill: the windows of a batch that lie in one shard. windows.permute: a bijection, without memory.
   Slots, sequences and pairs are explained in stream.py. */

#include "../pipeline/native.h"

enum { CLS = 2, SEP = 3, OVERHEAD = 3, SHORTEST_PAIR = 32, ROUNDS = 6 };
enum { TRIES = 16 }; /* sentences from the first on behind which what moves may begin */

#define GOLDEN 0x9E3779B97F4A7C15ull

static uint64_t scramble(uint64_t value) {
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9ull;
    value = (value ^ value >> 27) * 0x94D049BB133111EBull;
    return value ^ value >> 31;
}

/* order.key(seed, number) */
static uint64_t round_key(uint64_t seed, uint64_t number) {
    return scramble(scramble((seed + 1) * GOLDEN) + (number + 1) * GOLDEN);
}

static int64_t permuted(uint64_t value, uint64_t count, const uint64_t *keys) {
    int bits = 0;
    while (bits < 63 && (count - 1) >> bits) bits++;
    int half = bits > 1 ? (bits + 1) / 2 : 1;
    uint64_t low = (1ull << half) - 1;
    do {
        uint64_t left = value >> half, right = value & low;
        for (int k = 0; k < ROUNDS; k++) {
            uint64_t next = left ^ (scramble(right + keys[k]) & low);
            left = right;
            right = next;
        }
        value = left << half | right;
    } while (value >= count);
    return (int64_t)value;
}

static PyObject *permute(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer index, counts, seeds;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*y*", &index, &counts, &seeds)) return NULL;
    Py_ssize_t size = items(&index, 8);
    int64_t *out = malloc((size_t)(size < 1 ? 1 : size) * 8);
    if (!out) PyErr_NoMemory();
    if (out && size >= 0 && has(&counts, size * 8, "counts") && has(&seeds, size * 8, "seeds")) {
        const int64_t *values = index.buf, *limits = counts.buf;
        const uint64_t *own = seeds.buf;
        uint64_t keys[ROUNDS];
        int sound = 1;
        for (Py_ssize_t k = 0; k < size && sound; k++) {
            for (int r = 0; r < ROUNDS && (!k || own[k] != own[k - 1]); r++) keys[r] = round_key(own[k], (uint64_t)r);
            sound = values[k] >= 0 && values[k] < limits[k];
            if (sound) out[k] = permuted((uint64_t)values[k], (uint64_t)limits[k], keys);
        }
        if (sound) result = PyBytes_FromStringAndSize((char *)out, size * 8);
        else PyErr_SetString(PyExc_ValueError, "an index outside of its range");
    }
    free(out);
    PyBuffer_Release(&index);
    PyBuffer_Release(&counts);
    PyBuffer_Release(&seeds);
    return result;
}

/* --- places --- */

enum { INSIDE, BASES, COUNTS, SEEDS, PASSES, LASTS, ORDER, SIZES, SINGLE, NUMBERS, SLOTS, PLACE_BUFFERS };

typedef struct {
    const int64_t *ends, *order, *sizes, *single, *numbers, *slots;
    Py_ssize_t shards;
    int64_t width;
} Pool;

/* shard, begin and length of window `placed` of an epoch; `pass`: the key of (seed, epoch). As order.Pool explains. */
static int put(const Pool *pool, int64_t placed, uint64_t pass, int64_t *out, Py_ssize_t stride) {
    Py_ssize_t low = 0, high = pool->shards;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        if (pool->ends[middle] <= placed) low = middle + 1;
        else high = middle;
    }
    if (low >= pool->shards) return 0;
    int64_t shard = pool->order[low];
    if (shard < 0 || shard >= pool->shards || pool->single[shard] < 1 || pool->slots[shard] < 1) return 0;
    int64_t number = pool->numbers[shard], total = pool->slots[shard];
    int64_t local = placed - (pool->ends[low] - pool->sizes[shard]);
    int64_t copy = local / pool->single[shard], window = local % pool->single[shard];
    uint64_t drawn = scramble(pass + ((uint64_t)number + 1) * GOLDEN);
    drawn = scramble(drawn + ((uint64_t)copy + 1) * GOLDEN);
    out[0] = number;
    if (pool->width) {
        out[stride] = (int64_t)((drawn % (uint64_t)total + (uint64_t)window * (uint64_t)pool->width) % (uint64_t)total);
        out[2 * stride] = pool->width < total ? pool->width : total;
    } else {
        out[stride] = window;
        out[2 * stride] = (int64_t)(drawn >> 1);
    }
    return 1;
}

/* places(inside, bases, counts, seeds, passes, ends, order, sizes, single, numbers, slots, width) -> int64 shards, begins,
   lengths. bases, counts, seeds, passes: one for all or one for each. */
static PyObject *places(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer b[PLACE_BUFFERS];
    Py_ssize_t width;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*y*y*y*y*y*y*y*n", &b[INSIDE], &b[BASES], &b[COUNTS], &b[SEEDS], &b[PASSES],
                          &b[LASTS], &b[ORDER], &b[SIZES], &b[SINGLE], &b[NUMBERS], &b[SLOTS], &width))
        return NULL;
    Py_ssize_t size = items(&b[INSIDE], 8), known = items(&b[LASTS], 8), step = b[BASES].len == 8 ? 0 : 1;
    int sound = size >= 0 && known >= 0 && width >= 0;
    for (int k = BASES; k <= PASSES && sound; k++) sound = has(&b[k], step ? size * 8 : 8, "bases to passes");
    for (int k = ORDER; k < PLACE_BUFFERS && sound; k++) sound = has(&b[k], known * 8, "shards");
    int64_t *out = malloc((size_t)(size < 1 ? 1 : size) * 24);
    if (!out) sound = PyErr_NoMemory() != NULL;
    if (sound) {
        const int64_t *inside = b[INSIDE].buf, *bases = b[BASES].buf, *counts = b[COUNTS].buf;
        const uint64_t *own = b[SEEDS].buf, *passes = b[PASSES].buf;
        Pool pool = {b[LASTS].buf, b[ORDER].buf, b[SIZES].buf, b[SINGLE].buf, b[NUMBERS].buf, b[SLOTS].buf, known, width};
        uint64_t keys[ROUNDS];
        for (Py_ssize_t k = 0; k < size && sound; k++) {
            Py_ssize_t p = k * step;
            for (int r = 0; r < ROUNDS && (!k || own[p] != own[p - step]); r++) keys[r] = round_key(own[p], (uint64_t)r);
            sound = inside[k] >= 0 && inside[k] < counts[p];
            if (sound) {
                int64_t placed = bases[p] + permuted((uint64_t)inside[k], (uint64_t)counts[p], keys);
                sound = put(&pool, placed, passes[p], out + k, size);
            }
        }
        if (sound) result = PyBytes_FromStringAndSize((char *)out, size * 24);
        else PyErr_SetString(PyExc_ValueError, "an index outside of its range");
    }
    free(out);
    for (int k = 0; k < PLACE_BUFFERS; k++) PyBuffer_Release(&b[k]);
    return result;
}

/* --- windows --- */

typedef struct {
    const uint16_t *narrow; /* one of the two */
    const uint32_t *wide;
    int64_t count;          /* tokens of the shard */
    const int32_t *offsets;
    int64_t documents;
    const uint8_t *ends;
    int64_t vocabulary;
} Shard;

typedef struct {
    int32_t *tokens, *positions;
    int16_t *sequences;
    int8_t *types;
    int64_t width, at; /* slots of the row; slots filled */
    int64_t number;    /* sequences written */
} Row;

typedef struct {
    int64_t *values; /* place, swapped */
    int64_t count, room;
} Pairs;

static inline int64_t token(const Shard *shard, int64_t place) {
    return shard->narrow ? shard->narrow[place] : shard->wide[place];
}

static inline int ends_sentence(const Shard *shard, int64_t place) {
    int64_t id = token(shard, place);
    return id < shard->vocabulary && shard->ends[id];
}

/* A sentence ends behind a token that ends one, but not before another such token, nor at the end of the text. */
static int is_cut(const Shard *shard, int64_t first, int64_t end, int64_t at) {
    return at > first && at < end && ends_sentence(shard, at - 1) && !ends_sentence(shard, at);
}

/* Whether two sentences end in the same tokens: . or .\n or \n\n. Only these change places, since a full stop where a
   line should end would tell that they did. */
static int are_alike(const Shard *shard, int64_t first, int64_t one, int64_t two) {
    for (int64_t k = 1;; k++) {
        int is_one = one - k >= first && ends_sentence(shard, one - k);
        int is_two = two - k >= first && ends_sentence(shard, two - k);
        if (!is_one && !is_two) return 1;
        if (!is_one || !is_two || token(shard, one - k) != token(shard, two - k)) return 0;
    }
}

/* Places where the first segment's sentences, the second's, and what stays behind them start. The first and the last
   sentence of a sequence may be fragments and never move: else a segment's edges would tell whether it did. */
typedef struct {
    int64_t first, middle, last;
} Cuts;

/* Behind a sentence that ends as those before `from` and `to` do, nearest to the middle between them, the earlier of two,
   in the middle half. -1: none. */
static int64_t middle_cut(const Shard *shard, int64_t first, int64_t end, int64_t from, int64_t to) {
    int64_t count = to - from, middle = from + count / 2, low = from + count / 4, high = to - count / 4;
    for (int64_t away = 0; away <= count / 2; away++) {
        for (int side = 0; side < 2; side++) {
            int64_t at = side ? middle + away : middle - away;
            if (at <= from || at >= to || at < low || at > high || !is_cut(shard, first, end, at)) continue;
            if (are_alike(shard, first, from, at)) return at;
        }
    }
    return -1;
}

/* The widest three places that are alike, the earlier of two. 0 if there are none, or the text is too short. */
static int cuts(const Shard *shard, int64_t first, int64_t end, Cuts *found) {
    if (end - first < SHORTEST_PAIR) return 0;
    *found = (Cuts){0, 0, 0};
    int tries = 0;
    for (int64_t from = first + 1; end - 1 - from > found->last - found->first && tries < TRIES; from++) {
        if (!is_cut(shard, first, end, from)) continue;
        tries++;
        int64_t to = end - 1;
        while (to > from && !(is_cut(shard, first, end, to) && are_alike(shard, first, from, to))) to--;
        if (to - from <= found->last - found->first) continue;
        int64_t middle = middle_cut(shard, first, end, from, to);
        if (middle > 0) *found = (Cuts){from, middle, to};
    }
    return found->last > 0;
}

static int64_t copied(const Shard *shard, Row *row, int64_t at, int64_t first, int64_t end) {
    if (shard->narrow)
        for (int64_t k = first; k < end; k++) row->tokens[at++] = shard->narrow[k];
    else
        for (int64_t k = first; k < end; k++) row->tokens[at++] = (int32_t)shard->wide[k];
    return at;
}

/* A segment of two stretches of tokens, the second may be empty. */
static void segment(const Shard *shard, Row *row, int64_t first, int64_t end, int64_t next, int64_t stop, int kind) {
    int64_t at = copied(shard, row, copied(shard, row, row->at, first, end), next, stop);
    row->tokens[at++] = SEP;
    if (kind) memset(row->types + row->at, kind, (size_t)(at - row->at));
    row->at = at;
}

/* One sequence, [CLS] A [SEP] or [CLS] A [SEP] B [SEP]; 0 if it does not fit. */
static int sequence(const Shard *shard, Row *row, int64_t first, int64_t end, uint64_t coin, int order, int64_t base,
                    Pairs *pairs) {
    Cuts cut = {0, 0, 0};
    int64_t begin = row->at;
    int two = cuts(shard, first, end, &cut);
    if (begin + end - first + (two ? 3 : 2) > row->width || row->number >= INT16_MAX) return 0;
    int swapped = two && order && (coin >> (row->number % 64) & 1);
    row->tokens[row->at++] = CLS;
    if (two) {
        if (pairs->count >= pairs->room) return 0;
        int64_t moved = swapped ? cut.middle : cut.first, behind = swapped ? cut.first : cut.middle;
        segment(shard, row, first, cut.first, moved, swapped ? cut.last : cut.middle, 0);
        segment(shard, row, behind, swapped ? cut.middle : cut.last, cut.last, end, 1);
        pairs->values[2 * pairs->count] = base + begin;
        pairs->values[2 * pairs->count++ + 1] = swapped;
    } else {
        segment(shard, row, first, end, end, end, 0);
    }
    row->number++;
    for (int64_t k = begin; k < row->at; k++) {
        row->sequences[k] = (int16_t)row->number;
        row->positions[k] = (int32_t)(k - begin);
    }
    return 1;
}

/* The documents in `length` slots from `begin`, which do not go round the ring's end. */
static int stretch(const Shard *shard, Row *row, int64_t begin, int64_t length, uint64_t coin, int order, int64_t base,
                   Pairs *pairs) {
    int64_t low = 0, high = shard->documents; /* the last document whose slots begin at or before `begin` */
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (shard->offsets[middle] + OVERHEAD * middle <= begin) low = middle + 1;
        else high = middle;
    }
    for (int64_t document = low - 1; document >= 0 && document < shard->documents; document++) {
        int64_t shift = OVERHEAD * (document + 1), start = shard->offsets[document], stop = shard->offsets[document + 1];
        if (start < 0 || stop < start || stop > shard->count) return 0;
        int64_t first = start > begin - shift ? start : begin - shift;
        int64_t end = stop < begin + length - shift ? stop : begin + length - shift;
        if (end > first && !sequence(shard, row, first, end, coin, order, base, pairs)) return 0;
        if (stop + shift >= begin + length) break;
    }
    return 1;
}

static int fill_row(const Shard *shard, Row *row, int64_t begin, int64_t length, uint64_t coin, int order, int64_t base,
                    Pairs *pairs) {
    int64_t total = shard->count + OVERHEAD * shard->documents;
    if (begin < 0 || length < 0 || begin >= total || length > total) return 0;
    int64_t rest = begin + length - total;
    if (rest <= 0) return stretch(shard, row, begin, length, coin, order, base, pairs);
    return stretch(shard, row, begin, length - rest, coin, order, base, pairs) &&
           stretch(shard, row, 0, rest, coin, order, base, pairs);
}

enum { TOKENS, OFFSETS, ENDS, ROWS, BEGINS, LENGTHS, COINS, OUT_TOKENS, OUT_SEQUENCES, OUT_POSITIONS, OUT_TYPES, BUFFERS };

static int are_sound(Py_buffer *b, Py_ssize_t size, Py_ssize_t width, Py_ssize_t batch) {
    Py_ssize_t rows = items(&b[ROWS], 8), slots = width * batch;
    if (rows < 0 || items(&b[TOKENS], (size_t)size) < 0 || items(&b[OFFSETS], 4) < 0) return 0;
    if ((size != 2 && size != 4) || b[OFFSETS].len < 4 || width < 1 || width > INT32_MAX || batch < 0 ||
        batch > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "no shard, or no windows");
        return 0;
    }
    return has(&b[BEGINS], rows * 8, "begins") && has(&b[LENGTHS], rows * 8, "lengths") &&
           has(&b[COINS], rows * 8, "coins") && has(&b[OUT_TOKENS], slots * 4, "tokens") &&
           has(&b[OUT_SEQUENCES], slots * 2, "sequences") && has(&b[OUT_POSITIONS], slots * 4, "positions") &&
           has(&b[OUT_TYPES], slots, "types");
}

/* fill(tokens, size, offsets, ends, rows, begins, lengths, coins, order, width, batch, out tokens, sequences, positions,
   types) -> int64 pairs (place, swapped), in the order of the rows given. The outputs come filled with zeros. */
static PyObject *fill(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer b[BUFFERS];
    Py_ssize_t size, width, batch;
    int order;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*ny*y*y*y*y*y*pnnw*w*w*w*", &b[TOKENS], &size, &b[OFFSETS], &b[ENDS], &b[ROWS],
                          &b[BEGINS], &b[LENGTHS], &b[COINS], &order, &width, &batch, &b[OUT_TOKENS], &b[OUT_SEQUENCES],
                          &b[OUT_POSITIONS], &b[OUT_TYPES]))
        return NULL;
    if (are_sound(b, size, width, batch)) {
        Py_ssize_t rows = b[ROWS].len / 8;
        Shard shard = {size == 2 ? b[TOKENS].buf : NULL, b[TOKENS].buf, b[TOKENS].len / size, b[OFFSETS].buf,
                       b[OFFSETS].len / 4 - 1, b[ENDS].buf, b[ENDS].len};
        Pairs pairs = {NULL, 0, rows * (width / SHORTEST_PAIR + 1)};
        pairs.values = malloc((size_t)(pairs.room + 1) * 16);
        int fits = pairs.values != NULL;
        if (!fits) PyErr_NoMemory();
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t k = 0; k < rows && fits; k++) {
            int64_t r = ((int64_t *)b[ROWS].buf)[k];
            fits = r >= 0 && r < batch;
            if (!fits) break;
            Row row = {(int32_t *)b[OUT_TOKENS].buf + r * width, (int32_t *)b[OUT_POSITIONS].buf + r * width,
                       (int16_t *)b[OUT_SEQUENCES].buf + r * width, (int8_t *)b[OUT_TYPES].buf + r * width, width, 0, 0};
            fits = fill_row(&shard, &row, ((int64_t *)b[BEGINS].buf)[k], ((int64_t *)b[LENGTHS].buf)[k],
                            ((uint64_t *)b[COINS].buf)[k], order, r * width, &pairs);
        }
        Py_END_ALLOW_THREADS
        if (fits) result = PyBytes_FromStringAndSize((char *)pairs.values, pairs.count * 16);
        else if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "a window that does not fit its shard or its row");
        free(pairs.values);
    }
    for (int k = 0; k < BUFFERS; k++) PyBuffer_Release(&b[k]);
    return result;
}

/* gather(shards, size, which, begins, width, out): rows of `width` tokens from the rings of several shards' tokens. */
static int copy_row(const Py_buffer *tokens, Py_ssize_t size, int64_t begin, Py_ssize_t width, char *out) {
    int64_t count = tokens->len / size;
    if (begin < 0 || begin >= count) return 0;
    while (width > 0) {
        Py_ssize_t some = count - begin < width ? (Py_ssize_t)(count - begin) : width;
        memcpy(out, (char *)tokens->buf + begin * size, (size_t)(some * size));
        out += some * size;
        width -= some;
        begin = 0;
    }
    return 1;
}

static PyObject *gather(PyObject *self, PyObject *arguments) {
    (void)self;
    PyObject *shards, *result = NULL;
    Py_buffer which, begins, out, *tokens = NULL;
    Py_ssize_t size, width, opened = 0;
    if (!PyArg_ParseTuple(arguments, "O!ny*y*nw*", &PyTuple_Type, &shards, &size, &which, &begins, &width, &out))
        return NULL;
    Py_ssize_t rows = items(&which, 8), count = PyTuple_Size(shards);
    int sound = rows >= 0 && has(&begins, rows * 8, "begins");
    if (sound && (size < 1 || size > 4 || width < 0 || (width && rows > PY_SSIZE_T_MAX / 4 / width))) {
        PyErr_SetString(PyExc_ValueError, "no windows");
        sound = 0;
    }
    sound = sound && has(&out, rows * width * size, "out");
    if (sound && !(tokens = calloc((size_t)count + 1, sizeof *tokens))) sound = PyErr_NoMemory() != NULL;
    while (sound && opened < count) {
        sound = PyObject_GetBuffer(PyTuple_GetItem(shards, opened), tokens + opened, PyBUF_SIMPLE) == 0;
        opened += sound;
    }
    if (sound) {
        for (Py_ssize_t k = 0; k < rows && sound; k++) {
            int64_t shard = ((int64_t *)which.buf)[k], begin = ((int64_t *)begins.buf)[k];
            sound = shard >= 0 && shard < count &&
                    copy_row(tokens + shard, size, begin, width, (char *)out.buf + k * width * size);
        }
        if (!sound) PyErr_SetString(PyExc_ValueError, "a window outside of its shard");
    }
    if (sound) result = Py_NewRef(Py_None);
    for (Py_ssize_t k = 0; k < opened; k++) PyBuffer_Release(tokens + k);
    free(tokens);
    PyBuffer_Release(&which);
    PyBuffer_Release(&begins);
    PyBuffer_Release(&out);
    return result;
}

static PyMethodDef functions[] = {
    {"gather", gather, METH_VARARGS, "Rows of tokens from several shards."},
    {"fill", fill, METH_VARARGS, "Windows of a shard, written into the arrays of a batch."},
    {"places", places, METH_VARARGS, "Where the windows of a pool lie, in a seeded order."},
    {"permute", permute, METH_VARARGS, "A seeded permutation of range(count), for each index."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_windows", NULL, 0, functions, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__windows(void) { return PyModule_Create(&module); }
