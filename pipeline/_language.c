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
#define MAX_TEXT (1 << 24)

/* A table of weights: uint8 [1 << bits][stride], for texts whose letters are of `scripts` (a bit each). */
typedef struct { int64_t scripts, offset, bits, stride, labels, first; } Table;
typedef struct {
    const uint32_t *fold, *decay;
    const uint8_t *classes, *weights;
    const int32_t *scripts, *biases; /* biases: of each label, what a feature costs and what it has from the start; scripts: the weight of a letter of each, then the ids that main_script asks for */
    const Table *tables;
    long long scale, half, ground;
    int64_t decays;
} Model;
typedef struct { int32_t group, letters, visible, code, runs, unspaced, features, first, second, share, other,
    purity; } Row;

static uint32_t bucket(uint64_t hash, int bits) {
    hash ^= hash >> 29;
    return (uint32_t)(hash * 0x9E3779B97F4A7C15u >> (64 - bits));
}

static uint64_t joined(uint64_t hash, uint32_t point) { return hash * 0xD6E8FEB86659FD93u + point + 1; }

/* The buckets of one word, points[0] and points[length + 1] being EDGE: its n-grams and the word itself. */
static uint32_t *add_word(const uint32_t *points, Py_ssize_t length, int bits, uint32_t *out) {
    for (Py_ssize_t start = 0; start < length + 2; start++) {
        uint64_t hash = 0;
        for (Py_ssize_t end = start; end < start + MAX_GRAM && end < length + 2; end++) {
            hash = joined(hash, points[end]);
            if (end > start || points[end] != EDGE) *out++ = bucket(hash, bits);
        }
    }
    if (length < 3 || length > MAX_WORD) return out; /* shorter ones are n-grams with both edges */
    uint64_t hash = 7;
    for (Py_ssize_t place = 1; place <= length; place++) hash = joined(hash, points[place]);
    *out++ = bucket(hash, bits);
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
#define WIDE __attribute__((target_clones("avx2", "default"))) /* the same sums, twice as many at once */
#else
#define WIDE
#endif

/* sums[labels] of the rows of all features; stride is a multiple of BLOCK. */
WIDE static void add_rows(const uint8_t *rows, Py_ssize_t stride, const uint32_t *features, Py_ssize_t count, uint32_t *sums) {
    static const uint8_t nought[BLOCK];
    for (Py_ssize_t block = 0; block < stride; block += BLOCK) {
        uint32_t *total = sums + block;
        memset(total, 0, BLOCK * sizeof *total);
        for (Py_ssize_t start = 0; start < count;) {
            uint16_t part[BLOCK] = {0};
            Py_ssize_t stop = count - start > 1024 ? start + 1024 : count; /* 1024 * MAX_WEIGHT fit in 16 bits */
            for (; start < stop; start += 4) {
                const uint8_t *row[4];
                for (int k = 0; k < 4; k++)
                    row[k] = start + k < stop ? rows + (Py_ssize_t)features[start + k] * stride + block : nought;
                for (int k = 0; k < BLOCK; k++) part[k] += (uint8_t)(row[0][k] + row[1][k] + row[2][k] + row[3][k]);
            }
            start = stop;
            for (int k = 0; k < BLOCK; k++) total[k] += part[k];
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

/* The log probability of a text in a label's language, as 256ths of a step beyond that in the mean of all. */
static int64_t value_of(const Model *model, int64_t label, uint32_t sum, int64_t features) {
    return (int64_t)sum * 256 - features * model->biases[2 * label] + model->biases[2 * label + 1];
}

/* The two labels with the largest sums, and their shares in all. `ground` (negative) a feature is what text of no known
   language gets: it counts like a label, and what stays far below is in none: first = -1. */
static void choose(const Model *model, const Table *table, const uint32_t *sums, Row *row) {
    int64_t best[2] = {INT64_MIN, INT64_MIN}, features = row->features, none = features * model->ground;
    for (int64_t k = 0; k < table->labels; k++) {
        int64_t value = value_of(model, table->first + k, sums[k], features);
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
        all += decayed(model, top - value_of(model, table->first + k, sums[k], features), features);
    row->share = (int32_t)(decayed(model, top - best[0], features) * SHARE / all);
    row->other = row->second < 0 ? 0 : (int32_t)(decayed(model, top - best[1], features) * SHARE / all);
    if (best[0] <= 3 * none) row->first = -1;
}

static void rank_one(const uint32_t *points, Py_ssize_t count, const Model *model, uint32_t *room, Row *row) {
    memset(row, 0, sizeof *row);
    row->first = row->second = -1;
    survey(points, count, model, row);
    const Table *table = model->tables + row->group;
    if (table->labels == 1) {
        row->first = (int32_t)table->first;
        row->share = SHARE;
    }
    if (table->labels < 2) return;
    uint32_t *features = room + count + 2, sums[MAX_LABELS];
    row->features = (int32_t)find_features(points, count, model->fold, (uint64_t)table->scripts, (int)table->bits, room, features);
    add_rows(model->weights + table->offset, table->stride, features, row->features, sums);
    choose(model, table, sums, row);
}

/* Whether all numbers of a model keep inside its buffers; an exception if not. */
static int is_whole(const Model *model, Py_ssize_t weights, Py_ssize_t biases) {
    int good = model->scale >= 0 && model->scale < 1 << 24 && model->half > 0 && model->ground < 0 && model->decays > 0;
    for (int k = 0; k < SCRIPTS + SPECIAL; k++)
        good &= model->scripts[k] >= 0 && model->scripts[k] < SCRIPTS;
    for (int k = 0; k < SCRIPTS; k++) {
        const Table *t = model->tables + k;
        good &= t->labels >= 0 && (t->labels < 2 || t->labels <= t->stride) && t->stride >= 0 && t->stride <= MAX_LABELS && t->stride % BLOCK == 0;
        good &= t->bits > 0 && t->bits <= 24 && t->first >= 0 && t->first + t->labels <= biases;
        good &= t->offset >= 0 && t->offset + (t->stride << t->bits) <= weights;
    }
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
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*y*y*y*y*y*LLL", b, b + 1, b + 2, b + 3, b + 4, b + 5, b + 6, b + 7, b + 8,
                          &model.scale, &model.half, &model.ground)) return NULL;
    model.fold = b[FOLD].buf, model.classes = b[CLASSES].buf, model.scripts = b[SCRIPT].buf, model.tables = b[TABLES].buf;
    model.weights = b[WEIGHTS].buf, model.biases = b[BIASES].buf, model.decay = b[DECAY].buf;
    Py_ssize_t count = items(b + POINTS, 4), texts = items(b + SPANS, 16), longest = 0;
    Py_ssize_t biases = items(b + BIASES, 8);
    model.decays = items(b + DECAY, 4);
    if (count >= 0 && texts >= 0 && biases >= 0 && has(b + FOLD, CODE_POINTS * 4, "fold") &&
        has(b + CLASSES, CODE_POINTS, "classes") && has(b + SCRIPT, (SCRIPTS + SPECIAL) * 4, "scripts") &&
        has(b + TABLES, SCRIPTS * (Py_ssize_t)sizeof(Table), "tables") && is_whole(&model, b[WEIGHTS].len, biases) &&
        in_range(b[POINTS].buf, count, b[SPANS].buf, texts, &longest) &&
        (room = malloc((size_t)(longest + 2) * 4 * (MAX_GRAM + 3))) != NULL &&
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
        if ((room = malloc((size_t)(count + 2) * 4 * (MAX_GRAM + 3))) == NULL) PyErr_NoMemory();
        else {
            Py_ssize_t found = find_features(points.buf, count, fold.buf, (uint64_t)scripts, bits, room, room + count + 2);
            result = PyBytes_FromStringAndSize((char *)(room + count + 2), found * 4);
        }
    }
    free(room);
    PyBuffer_Release(&points);
    PyBuffer_Release(&fold);
    return result;
}

static PyMethodDef functions[] = {
    {"rank", rank, METH_VARARGS, "a row of whole numbers for each text; language_model.py names them"},
    {"features", features, METH_VARARGS, "(points: uint32, fold: uint32, scripts: bit set, bits) -> uint32 buckets"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_language", NULL, 0, functions, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__language(void) { return PyModule_Create(&module); }
