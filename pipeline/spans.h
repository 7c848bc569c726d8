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

/* Fills starts and ends (count + 1 numbers each are enough); returns the number of words. */
static inline Py_ssize_t find_spans(const uint8_t *classes, const uint32_t *points, Py_ssize_t count, int64_t *starts,
                                    int64_t *ends) {
    Py_ssize_t found = 0;
    int inside = 0;
    uint8_t before = 0;
    for (Py_ssize_t place = 0; place < count; place++) {
        uint8_t bits = classes[points[place]];
        int now = is_inside(classes, points, count, place);
        int single = (bits & (UNSPACED | MARK)) == UNSPACED;
        int begins = now && (!inside || single || ((before & UNSPACED) && !(bits & MARK)));
        if (inside && (!now || begins)) ends[found - 1] = place;
        if (begins) starts[found++] = place;
        inside = now;
        before = bits;
    }
    if (inside) ends[found - 1] = count;
    return found;
}

static inline int in_range(const uint32_t *points, Py_ssize_t count) {
    uint32_t highest = 0;
    for (Py_ssize_t place = 0; place < count; place++) highest = points[place] > highest ? points[place] : highest;
    if (highest < CODE_POINTS) return 1;
    PyErr_SetString(PyExc_ValueError, "no code point");
    return 0;
}
