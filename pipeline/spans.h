/* Where words begin and end: the definition of words.py, for the modules that go through a text's words. */

#include "native.h"

static inline int is_inside(const uint8_t *classes, const uint32_t *points, Py_ssize_t count, Py_ssize_t place) {
    uint8_t bits = classes[points[place]];
    if (bits & (LETTER | MARK | DIGIT)) return 1;
    if (!(bits & (APOSTROPHE | POINT)) || place == 0 || place + 1 == count) return 0;
    uint8_t before = classes[points[place - 1]], after = classes[points[place + 1]];
    return ((bits & APOSTROPHE) && (before & (LETTER | MARK)) && (after & LETTER)) ||
           ((bits & POINT) && (before & after & DIGIT));
}

/* Fills starts and ends (count + 1 numbers each are enough); returns the number of words. A sign of a script without
   spaces begins a word, and so does what follows it and is no mark. */
static inline Py_ssize_t find_spans(const uint8_t *classes, const uint32_t *points, Py_ssize_t count, int64_t *starts,
                                    int64_t *ends) {
    Py_ssize_t found = 0;
    for (Py_ssize_t place = 0; place < count;) {
        if (!is_inside(classes, points, count, place)) {
            place++;
            continue;
        }
        starts[found] = place;
        uint8_t before = classes[points[place++]];
        for (; place < count; place++) {
            uint8_t bits = classes[points[place]];
            if (!(bits & (LETTER | MARK | DIGIT)) && !is_inside(classes, points, count, place)) break;
            if (((bits | before) & UNSPACED) && !(bits & MARK)) break;
            before = bits;
        }
        ends[found++] = place;
    }
    return found;
}

static inline int in_range(const uint32_t *points, Py_ssize_t count) {
    uint32_t highest = 0;
    for (Py_ssize_t place = 0; place < count; place++) highest = points[place] > highest ? points[place] : highest;
    if (highest < CODE_POINTS) return 1;
    PyErr_SetString(PyExc_ValueError, "no code point");
    return 0;
}
