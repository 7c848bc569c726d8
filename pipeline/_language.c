/* language: what a short text is made of, and which language of its script it is most like. One pass over its code
   points: letters, signs, scripts; then the n-grams of the words in its main script, and sums of their weights. */

#include "native.h"

#define POINT_BITS 21
#define SCRIPTS 64
#define EDGE 1 /* stands before and behind a word */
#define MAX_GRAM 4
#define MAX_WORD 32   /* longer words have n-grams, but are no feature as a whole */
#define BLOCK 64      /* labels whose sums are made at once; rows are that long or a multiple */
#define MAX_WEIGHT 63 /* four of them fit in a byte */
#define SHARE 65536   /* a probability of 1 */
#define SPECIAL 7
#define MAX_LABELS 512
#define MAX_COST (1 << 19) /* what a feature may cost: that of CHUNK of them, and `most`, fit in 32 bits */
#define MAX_TEXT (1 << 24)
#define LAST 0x80000000u /* marks the last feature of a word; buckets are smaller */
#define CHUNK 1024       /* features whose weights fit in 16 bits */

/* A table of weights: uint8 [1 << bits][stride], for texts whose letters are of `scripts` (a bit each). */
typedef struct { int64_t scripts, offset, bits, stride, labels, first, guest; } Table;
typedef struct {
    const uint32_t *fold, *decay;
    const uint8_t *classes, *weights;
    const int32_t *scripts, *biases; /* biases: of each label, what a feature costs and what it has from the start; scripts: the weight of a letter of each, then the ids that main_script asks for */
    const Table *tables;
    long long scale, half, ground, most;
    int64_t decays;
} Model;
typedef struct { int32_t group, letters, visible, code, runs, unspaced, features, first, second, share, other,
    purity; } Row;

static uint32_t bucket(uint64_t hash, int bits) {
    hash ^= hash >> 29;
    return (uint32_t)(hash * 0x9E3779B97F4A7C15u >> (64 - bits));
}

static uint64_t joined(uint64_t hash, uint32_t point) { return hash * 0xD6E8FEB86659FD93u + point + 1; }

static int is_ascii_letter(uint32_t point) { return (point | 32) >= 'a' && (point | 32) <= 'z'; }

/* Where an address, a user's name or a tag that begins at `place` ends: signs of ASCII up to the next space, among them
   '@', "://" or a dot, two letters or more and a slash; or with "www." or '#' in front. `place` where none begins. */
static Py_ssize_t address_end(const uint32_t *points, Py_ssize_t place, Py_ssize_t count) {
    Py_ssize_t end = place, dot = -1; /* the last dot with nothing but letters behind it */
    int found = 0;
    for (; end < count && points[end] > ' ' && points[end] < 0x7F; end++) {
        found |= points[end] == '@';
        if (points[end] == '/') {
            found |= (dot >= 0 && end - dot > 2) || (end - place > 1 && points[end - 1] == '/' && points[end - 2] == ':');
        }
        if (points[end] == '.') dot = end > place ? end : -1;
        else if (!is_ascii_letter(points[end])) dot = -1;
    }
    Py_ssize_t length = end - place;
    found |= length > 1 && points[place] == '#' && is_ascii_letter(points[place + 1]);
    found |= length > 4 && (points[place] | 32) == 'w' && (points[place + 1] | 32) == 'w' && (points[place + 2] | 32) == 'w' &&
             points[place + 3] == '.';
    return found ? end : place;
}

static int is_pictograph(uint32_t point) {
    return point >= 0x2600 && (point < 0x27C0 || point == 0xFE0F || (point >= 0x1F000 && point < 0x20000));
}

/* A text with spaces in place of addresses, users' names, tags and pictographs: they are in no language. */
static void without_noise(const uint32_t *points, Py_ssize_t count, uint32_t *out) {
    Py_ssize_t end = 0; /* of the last address */
    int inside = 0;     /* a run of ASCII's signs */
    for (Py_ssize_t place = 0; place < count; place++) {
        int sign = points[place] > ' ' && points[place] < 0x7F;
        if (sign && !inside) end = address_end(points, place, count);
        inside = sign;
        out[place] = place < end || is_pictograph(points[place]) ? ' ' : points[place];
    }
}

/* The buckets of one word, points[0] and points[length + 1] being EDGE: its n-grams and the word itself. */
static uint32_t *add_word(const uint32_t *points, Py_ssize_t length, int bits, uint32_t *out) {
    for (Py_ssize_t start = 0; start < length + 2; start++) {
        uint64_t hash = 0;
        for (Py_ssize_t end = start; end < start + MAX_GRAM && end < length + 2; end++) {
            hash = joined(hash, points[end]);
            if (end > start || points[end] != EDGE) *out++ = bucket(hash, bits);
        }
    }
    if (length >= 3 && length <= MAX_WORD) { /* shorter ones are n-grams with both edges */
        uint64_t hash = 7;
        for (Py_ssize_t place = 1; place <= length; place++) hash = joined(hash, points[place]);
        *out++ = bucket(hash, bits);
    }
    out[-1] |= LAST;
    return out;
}

/* The buckets of all words of some scripts. word: room for count + 2 points; out: for (MAX_GRAM + 2) * (count + 1). */
static Py_ssize_t find_features(const uint32_t *points, Py_ssize_t count, const uint32_t *fold, uint64_t scripts, int bits,
                                uint32_t *word, uint32_t *out) {
    uint32_t *begin = out;
    Py_ssize_t length = 0;
    word[0] = EDGE;
    for (Py_ssize_t place = 0; place <= count; place++) {
        uint32_t letter = place < count ? fold[points[place]] : 0;
        if (letter && scripts >> (letter >> POINT_BITS & (SCRIPTS - 1)) & 1) {
            word[++length] = letter & ((1 << POINT_BITS) - 1);
        } else if (length) {
            word[length + 1] = EDGE;
            out = add_word(word, length, bits, out);
            length = 0;
        }
    }
    return out - begin;
}

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__gnu_linux__)
/* The same sums, twice as many at once. GCC 12 would take rows in pairs and leave the odd one to a loop of single bytes. */
#define WIDE __attribute__((target_clones("avx2", "default"), optimize("no-loop-unroll-and-jam")))
#else
#define WIDE
#endif

/* sums[stride] of the rows of at most CHUNK features. */
WIDE static void add_rows(const uint8_t *rows, Py_ssize_t stride, const uint32_t *features, Py_ssize_t count, int32_t *restrict sums) {
    for (Py_ssize_t block = 0; block < stride; block += BLOCK) {
        uint16_t part[BLOCK] = {0};
        Py_ssize_t k = 0;
        for (; k + 4 <= count; k += 4) {
            const uint8_t *row[4];
            for (int j = 0; j < 4; j++) row[j] = rows + (Py_ssize_t)(features[k + j] & ~LAST) * stride + block;
            for (int j = 0; j < BLOCK; j++) part[j] += (uint8_t)(row[0][j] + row[1][j] + row[2][j] + row[3][j]);
        }
        for (; k < count; k++) {
            const uint8_t *row = rows + (Py_ssize_t)(features[k] & ~LAST) * stride + block;
            for (int j = 0; j < BLOCK; j++) part[j] += row[j];
        }
        for (int j = 0; j < BLOCK; j++) sums[block + j] = part[j];
    }
}

/* values[labels]: the log probabilities of a text, as 256ths of a step beyond those in the mean of all, word by word: no
   word tells more than `most` against a label. */
WIDE static void add_words(const uint8_t *rows, const Table *table, const int32_t *restrict costs, const uint32_t *features, Py_ssize_t count,
                           int32_t most, int64_t *restrict values) {
    int32_t sums[MAX_LABELS];
    for (Py_ssize_t start = 0, stop; start < count; start = stop) {
        for (stop = start + 1; stop < count && stop < start + CHUNK && !(features[stop - 1] & LAST);) stop++;
        add_rows(rows, table->stride, features + start, stop - start, sums);
        int32_t size = (int32_t)(stop - start), guest = table->guest < 0 ? INT32_MIN : sums[table->guest] * 256 - size * costs[2 * table->guest] - most;
        for (int64_t k = 0; k < table->labels; k++) {
            int32_t own = sums[k] * 256 - size * costs[2 * k];
            values[k] += own > guest ? own : guest;
        }
    }
}

/* As `words.main_script` finds it, from weighted counts of letters by script. ids: of Hani Bopo Hira Kana Hang Jpan Kore. */
static int main_script(int64_t *counts, const int32_t *ids) {
    int64_t han = counts[ids[0]] + counts[ids[1]], kana = counts[ids[2]] + counts[ids[3]], hangul = counts[ids[4]];
    for (int k = 0; k < 5; k++) counts[ids[k]] = 0;
    if (kana * 20 >= han && kana >= hangul) {
        counts[ids[5]] = kana + han;
    } else if (hangul * 5 >= han) {
        counts[ids[6]] = hangul + han;
    } else {
        counts[ids[0]] = han;
    }
    int best = 0;
    for (int k = 1; k < SCRIPTS; k++)
        if (counts[k] > counts[best]) best = k;
    return best;
}

/* Letters, signs and the main script of a text. */
static void survey(const uint32_t *points, Py_ssize_t count, const Model *model, Row *row) {
    int64_t counts[SCRIPTS] = {0}, all = 0;
    int inside = 0;
    for (Py_ssize_t place = 0; place < count; place++) {
        uint8_t bits = model->classes[points[place]];
        int letter = (bits & (LETTER | MARK)) != 0;
        row->visible += !(bits & SPACE);
        row->code += (bits & CODE) != 0;
        row->unspaced += (bits & UNSPACED) != 0;
        row->letters += letter;
        row->runs += letter && !inside;
        inside = letter;
        counts[model->fold[points[place]] >> POINT_BITS & (SCRIPTS - 1)]++;
    }
    for (int k = 0; k < SCRIPTS; k++) counts[k] *= model->scripts[k];
    row->group = main_script(counts, model->scripts + SCRIPTS);
    for (int k = 0; k < SCRIPTS; k++) all += counts[k];
    row->purity = all ? (int32_t)(counts[row->group] * SHARE / all) : 0;
}

/* exp(-distance), as whole numbers of SHARE; `distance` in steps that are worth less the more features there are. */
static int64_t decayed(const Model *model, int64_t distance, int64_t features) {
    int64_t step = distance * model->scale / (model->half + features) / 256;
    return step < model->decays ? model->decay[step] : 0;
}

/* The two labels with the largest sums, and their shares in all. `ground` (negative) a feature is what text of no known
   language gets: it counts like a label, and what stays far below is in none: first = -1. */
static void choose(const Model *model, const Table *table, const int64_t *values, Row *row) {
    int64_t best[2] = {INT64_MIN, INT64_MIN}, features = row->features, none = features * model->ground;
    for (int64_t k = 0; k < table->labels; k++) {
        int64_t value = values[k];
        if (value > best[0]) {
            best[1] = best[0];
            row->second = row->first;
            best[0] = value;
            row->first = (int32_t)(table->first + k);
        } else if (value > best[1]) {
            best[1] = value;
            row->second = (int32_t)(table->first + k);
        }
    }
    int64_t top = best[0] > none ? best[0] : none, all = decayed(model, top - none, features);
    for (int64_t k = 0; k < table->labels; k++)
        all += decayed(model, top - values[k], features);
    row->share = (int32_t)(decayed(model, top - best[0], features) * SHARE / all);
    row->other = row->second < 0 ? 0 : (int32_t)(decayed(model, top - best[1], features) * SHARE / all);
    if (row->first >= 0 && best[0] - model->biases[2 * row->first + 1] <= 3 * none) row->first = -1;
}

static void rank_one(const uint32_t *points, Py_ssize_t count, const Model *model, uint32_t *room, Row *row) {
    memset(row, 0, sizeof *row);
    row->first = row->second = -1;
    without_noise(points, count, room);
    survey(room, count, model, row);
    const Table *table = model->tables + row->group;
    if (table->labels == 1) {
        row->first = (int32_t)table->first;
        row->share = SHARE;
    }
    if (table->labels < 2) return;
    uint32_t *word = room + count, *features = word + count + 2;
    int64_t values[MAX_LABELS];
    const int32_t *biases = model->biases + 2 * table->first;
    for (int64_t k = 0; k < table->labels; k++) values[k] = biases[2 * k + 1];
    row->features = (int32_t)find_features(room, count, model->fold, (uint64_t)table->scripts, (int)table->bits, word, features);
    add_words(model->weights + table->offset, table, biases, features, row->features, (int32_t)model->most, values);
    choose(model, table, values, row);
}

/* Whether all numbers of a model keep inside its buffers; an exception if not. */
static int is_whole(const Model *model, Py_ssize_t weights, Py_ssize_t biases) {
    int good = model->scale >= 0 && model->scale < 1 << 24 && model->half > 0 && model->ground < 0 && model->most >= 0 && model->most < 1 << 29 && model->decays > 0;
    for (int k = 0; k < SCRIPTS + SPECIAL; k++)
        good &= model->scripts[k] >= 0 && model->scripts[k] < SCRIPTS;
    for (int k = 0; k < SCRIPTS; k++) {
        const Table *t = model->tables + k;
        good &= t->guest >= -1 && t->guest < t->labels && t->labels >= 0 && (t->labels < 2 || t->labels <= t->stride) && t->stride >= 0 && t->stride <= MAX_LABELS && t->stride % BLOCK == 0;
        good &= t->bits > 0 && t->bits <= 24 && t->first >= 0 && t->first + t->labels <= biases;
        good &= t->offset >= 0 && t->offset + (t->stride << t->bits) <= weights;
    }
    for (Py_ssize_t k = 0; k < biases; k++) good &= model->biases[2 * k] > -MAX_COST && model->biases[2 * k] < MAX_COST;
    if (!good) PyErr_SetString(PyExc_ValueError, "no whole language model");
    return good;
}

static int in_range(const uint32_t *points, Py_ssize_t count, const int64_t *spans, Py_ssize_t texts, Py_ssize_t *longest) {
    uint32_t highest = 0;
    for (Py_ssize_t place = 0; place < count; place++) highest = points[place] > highest ? points[place] : highest;
    int good = highest < CODE_POINTS;
    for (Py_ssize_t k = 0; good && k < texts; k++) {
        int64_t start = spans[2 * k], end = spans[2 * k + 1];
        good = start >= 0 && start <= end && end <= count && end - start < MAX_TEXT;
        if (good && end - start > *longest) *longest = (Py_ssize_t)(end - start);
    }
    if (!good) PyErr_SetString(PyExc_ValueError, "no code points, or a text outside them");
    return good;
}

static PyObject *rank(PyObject *self, PyObject *arguments) {
    (void)self;
    enum { POINTS, SPANS, FOLD, CLASSES, SCRIPT, TABLES, WEIGHTS, BIASES, DECAY, ALL };
    Py_buffer b[ALL];
    Model model;
    PyObject *result = NULL;
    uint32_t *room = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*y*y*y*y*y*LLLL", b, b + 1, b + 2, b + 3, b + 4, b + 5, b + 6, b + 7, b + 8,
                          &model.scale, &model.half, &model.ground, &model.most)) return NULL;
    model.fold = b[FOLD].buf, model.classes = b[CLASSES].buf, model.scripts = b[SCRIPT].buf, model.tables = b[TABLES].buf;
    model.weights = b[WEIGHTS].buf, model.biases = b[BIASES].buf, model.decay = b[DECAY].buf;
    Py_ssize_t count = items(b + POINTS, 4), texts = items(b + SPANS, 16), longest = 0;
    Py_ssize_t biases = items(b + BIASES, 8);
    model.decays = items(b + DECAY, 4);
    if (count >= 0 && texts >= 0 && biases >= 0 && has(b + FOLD, CODE_POINTS * 4, "fold") &&
        has(b + CLASSES, CODE_POINTS, "classes") && has(b + SCRIPT, (SCRIPTS + SPECIAL) * 4, "scripts") &&
        has(b + TABLES, SCRIPTS * (Py_ssize_t)sizeof(Table), "tables") && is_whole(&model, b[WEIGHTS].len, biases) &&
        in_range(b[POINTS].buf, count, b[SPANS].buf, texts, &longest) &&
        (room = malloc((size_t)(longest + 2) * 4 * (MAX_GRAM + 4))) != NULL &&
        (result = PyBytes_FromStringAndSize(NULL, texts * (Py_ssize_t)sizeof(Row))) != NULL) {
        const int64_t *spans = b[SPANS].buf;
        Row *rows = (Row *)PyBytes_AsString(result);
        for (Py_ssize_t k = 0; k < texts; k++)
            rank_one((const uint32_t *)b[POINTS].buf + spans[2 * k], (Py_ssize_t)(spans[2 * k + 1] - spans[2 * k]), &model,
                     room, rows + k);
    }
    if (!result && !PyErr_Occurred()) PyErr_NoMemory();
    free(room);
    for (int k = 0; k < ALL; k++) PyBuffer_Release(b + k);
    return result;
}

static PyObject *features(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer points, fold;
    long long scripts;
    int bits;
    PyObject *result = NULL;
    uint32_t *room = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*Li", &points, &fold, &scripts, &bits)) return NULL;
    Py_ssize_t count = items(&points, 4), longest = 0;
    int64_t span[2] = {0, count};
    if (bits < 1 || bits > 24) PyErr_SetString(PyExc_ValueError, "bits: 1 to 24");
    else if (count >= 0 && has(&fold, CODE_POINTS * 4, "fold") && in_range(points.buf, count, span, 1, &longest)) {
        if ((room = malloc((size_t)(count + 2) * 4 * (MAX_GRAM + 4))) == NULL) PyErr_NoMemory();
        else {
            uint32_t *out = room + 2 * count + 2;
            without_noise(points.buf, count, room);
            Py_ssize_t found = find_features(room, count, fold.buf, (uint64_t)scripts, bits, room + count, out);
            for (Py_ssize_t k = 0; k < found; k++) out[k] &= ~LAST;
            result = PyBytes_FromStringAndSize((char *)out, found * 4);
        }
    }
    free(room);
    PyBuffer_Release(&points);
    PyBuffer_Release(&fold);
    return result;
}

static PyObject *plain(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer points;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*", &points)) return NULL;
    Py_ssize_t count = items(&points, 4);
    if (count >= 0 && (result = PyBytes_FromStringAndSize(NULL, count * 4)) != NULL)
        without_noise(points.buf, count, (uint32_t *)PyBytes_AsString(result));
    PyBuffer_Release(&points);
    return result;
}

static PyMethodDef functions[] = {
    {"rank", rank, METH_VARARGS, "a row of whole numbers for each text; language_model.py names them"},
    {"features", features, METH_VARARGS, "(points: uint32, fold: uint32, scripts: bit set, bits) -> uint32 buckets"},
    {"plain", plain, METH_VARARGS, "points -> points with spaces in place of addresses, names, tags and pictographs"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_language", NULL, 0, functions, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__language(void) { return PyModule_Create(&module); }
