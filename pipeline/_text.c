/* text.tidy: characters without meaning and white space, and whether there may be encoding damage, in one pass. */

#include "native.h"

/* What is to be done with a code point: the bits above those of mojibake.table, as in text.py. */
enum { PAIR_BITS = 13 };
#define PAIR_MASK ((1u << PAIR_BITS) - 1)
#define JOINER (1u << 26)
#define JUNK (1u << 27)
#define SPACE_SIGN (1u << 28)
#define LINE_END (1u << 29)
#define IS_MARK (1u << 30)

/* Whether two neighbours may be misread UTF-8, or one is a control that only a misreading makes. */
static int may_be_misread(const uint32_t *table, const uint32_t *points, Py_ssize_t count, Py_ssize_t at) {
    if (at + 1 == count) return points[at] >= 0x80 && points[at] < 0xa0;
    return ((table[points[at]] >> PAIR_BITS) & table[points[at + 1]] & PAIR_MASK) != 0;
}

/* What is no junk, with every kind of space as ' ' and every line end as '\n'. Returns how much that is, -1 for what is no
   code point; ors into `present` the bits of all, and counts the `suspicious` places. */
static Py_ssize_t sift(const uint32_t *table, const uint32_t *points, Py_ssize_t count, uint32_t *to, uint32_t *present,
                       Py_ssize_t *suspicious) {
    Py_ssize_t used = 0, pairs = 0;
    uint32_t before = 0, all = 0;
    for (Py_ssize_t at = 0; at < count; at++) {
        uint32_t point = points[at];
        if (point >= CODE_POINTS) return -1;
        uint32_t bits = table[point];
        pairs += ((before >> PAIR_BITS) & bits & PAIR_MASK) != 0;
        before = bits;
        all |= bits;
        to[used] = bits & SPACE_SIGN ? ' ' : bits & LINE_END ? '\n' : point;
        used += !(bits & JUNK);
    }
    *present = all;
    *suspicious = pairs + (count && may_be_misread(table, points, count, count - 1));
    return used;
}

/* Joiners go that shape nothing: beside no code point of `joined`, or behind another joiner. In place. */
static Py_ssize_t drop_joiners(const uint32_t *table, const uint8_t *joined, uint32_t *points, Py_ssize_t count) {
    Py_ssize_t used = 0;
    uint32_t before = 0;
    for (Py_ssize_t at = 0; at < count; at++) {
        uint32_t point = points[at], after = at + 1 < count ? points[at + 1] : 0;
        if (!(table[point] & JOINER) || (!(table[before] & JOINER) && (joined[before] || joined[after]))) points[used++] = point;
        before = point;
    }
    return used;
}

/* A run of white space is one space, or its line ends, two at most; none at either end of the text. In place. */
static Py_ssize_t fold_space(uint32_t *points, Py_ssize_t count) {
    Py_ssize_t used = 0, at = 0;
    while (at < count) {
        if (points[at] != ' ' && points[at] != '\n') {
            points[used++] = points[at++];
            continue;
        }
        Py_ssize_t ends = 0;
        for (; at < count && (points[at] == ' ' || points[at] == '\n'); at++) ends += points[at] == '\n';
        if (!used || at == count) continue;
        if (!ends) points[used++] = ' ';
        for (Py_ssize_t end = 0; end < ends && end < 2; end++) points[used++] = '\n';
    }
    return used;
}

static int longest_marks(const uint32_t *table, const uint32_t *points, Py_ssize_t count) {
    int longest = 0, run = 0;
    for (Py_ssize_t at = 0; at < count; at++) {
        run = table[points[at]] & IS_MARK ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static PyObject *tidy(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer points, table, joined;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*y*", &points, &table, &joined)) return NULL;
    Py_ssize_t count = items(&points, 4);
    int sound = count >= 0 && has(&table, 4 * CODE_POINTS, "table") && has(&joined, CODE_POINTS, "joined");
    uint32_t *to = sound ? malloc((size_t)(count + 1) * sizeof *to) : NULL, present;
    Py_ssize_t suspicious, used = to ? sift(table.buf, points.buf, count, to, &present, &suspicious) : -1;
    if (to && used >= 0) {
        if (present & JOINER) used = drop_joiners(table.buf, joined.buf, to, used);
        used = fold_space(to, used);
        int changed = used != count || memcmp(to, points.buf, (size_t)used * sizeof *to);
        int marks = present & IS_MARK ? longest_marks(table.buf, to, used) : 0;
        if (changed)
            result = Py_BuildValue("niy#", suspicious, marks, (char *)to, used * 4);
        else
            result = Py_BuildValue("niO", suspicious, marks, Py_None);
    } else if (sound) {
        to ? PyErr_SetString(PyExc_ValueError, "no code point") : (void)PyErr_NoMemory();
    }
    free(to);
    PyBuffer_Release(&points);
    PyBuffer_Release(&table);
    PyBuffer_Release(&joined);
    return result;
}

/* The tables of mojibake.py, a bit for each encoding; code points beyond the first plane are 0xffff there. */
enum { PLANE = 0x10000 };
typedef struct {
    const uint16_t *leads_2, *leads_3, *tails, *signs;
} Misread;
enum { PAIRS = 0x380, CYRILLIC = 0x100, NOT_LATIN = 0x300, LATIN_1 = 3, SPACED = 1 << 13, QUESTIONED = 1 << 14 };

static uint32_t near(const uint32_t *points, Py_ssize_t count, Py_ssize_t at) {
    if (at < 0 || at >= count) return 0;
    return points[at] < PLANE ? points[at] : PLANE - 1;
}

static int is_ascii_letter(uint32_t point) { return (point | 0x20) - 'a' < 26u; }

/* The fine rules, by the characters around a place, from the one before it to the third behind it. */
static int is_suspect(const Misread *m, const uint32_t *points, Py_ssize_t count, Py_ssize_t at) {
    uint32_t before = near(points, count, at - 1), first = near(points, count, at), second = near(points, count, at + 1);
    uint32_t third = near(points, count, at + 2), fourth = near(points, count, at + 3);
    uint32_t pairs = m->leads_2[first] & m->tails[second], around = m->leads_3[first] & SPACED;
    if (first >= 0x80 && first < 0xa0) return 1;
    if ((pairs & ~(uint32_t)PAIRS) || (pairs & m->leads_2[third] & m->tails[fourth])) return 1;
    if ((pairs & NOT_LATIN) && (is_ascii_letter(before) || is_ascii_letter(third))) return 1;
    if (second == ' ' && (m->leads_2[first] & SPACED)) return 1;
    if (second == '?' && (m->leads_2[first] & QUESTIONED)) return 1;
    uint32_t lost_2 = around && second == ' ', lost_3 = (around && third == ' ' && second > 0x7f) || third == '?';
    uint32_t triples = m->leads_3[first] & (m->tails[second] | LATIN_1 * lost_2) & (m->tails[third] | LATIN_1 * lost_3);
    return (triples & ((uint32_t)(m->signs[second] | m->signs[third]) | ~(uint32_t)CYRILLIC)) != 0;
}

static PyObject *suspects(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer b[6];
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*y*y*", b, b + 1, b + 2, b + 3, b + 4, b + 5)) return NULL;
    const uint32_t *point = b[0].buf, *table = b[1].buf;
    Misread misread = {b[2].buf, b[3].buf, b[4].buf, b[5].buf};
    Py_ssize_t count = items(b, 4), used = 0;
    int sound = count >= 0 && has(b + 1, 4 * CODE_POINTS, "table");
    for (int k = 2; sound && k < 6; k++) sound = has(b + k, 2 * PLANE, "table of an encoding");
    for (Py_ssize_t at = 0; sound && at < count; at++)
        if (point[at] >= CODE_POINTS) sound = 0, PyErr_SetString(PyExc_ValueError, "no code point");
    int64_t *places = sound ? malloc((size_t)(count + 1) * sizeof *places) : NULL;
    for (Py_ssize_t at = 0; places && at < count; at++)
        if (may_be_misread(table, point, count, at) && is_suspect(&misread, point, count, at)) places[used++] = at;
    PyObject *result = places ? PyBytes_FromStringAndSize((char *)places, used * 8) : sound ? PyErr_NoMemory() : NULL;
    free(places);
    for (int k = 0; k < 6; k++) PyBuffer_Release(b + k);
    return result;
}

static PyMethodDef functions[] = {
    {"tidy", tidy, METH_VARARGS,
     "(points: uint32, table: uint32, joined: uint8) -> how many places are suspicious, the longest run of marks, the "
     "points that stay as bytes, or None where all stay as they are"},
    {"suspects", suspects, METH_VARARGS, "(points: uint32, table: uint32, leads of 2, of 3 or 4, tails, signs: uint16) -> the places of suspects, int64 as bytes"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_text", NULL, 0, functions, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__text(void) { return PyModule_Create(&module); }
