/* words.spans: where words begin and end. */

#include "native.h"

static int is_inside(const uint8_t *classes, const uint32_t *points, Py_ssize_t count, Py_ssize_t place) {
    uint8_t bits = classes[points[place]];
    if (bits & (LETTER | MARK | DIGIT)) return 1;
    if (!(bits & (APOSTROPHE | POINT)) || place == 0 || place + 1 == count) return 0;
    uint8_t before = classes[points[place - 1]], after = classes[points[place + 1]];
    return ((bits & APOSTROPHE) && (before & (LETTER | MARK)) && (after & LETTER)) ||
           ((bits & POINT) && (before & after & DIGIT));
}

/* Fills starts and ends (count + 1 numbers each are enough); returns the number of words. */
static Py_ssize_t find_spans(const uint8_t *classes, const uint32_t *points, Py_ssize_t count, int64_t *starts,
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

static int in_range(const uint32_t *points, Py_ssize_t count) {
    uint32_t highest = 0;
    for (Py_ssize_t place = 0; place < count; place++) highest = points[place] > highest ? points[place] : highest;
    if (highest < CODE_POINTS) return 1;
    PyErr_SetString(PyExc_ValueError, "no code point");
    return 0;
}

static PyObject *spans(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer points, classes;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*", &points, &classes)) return NULL;
    Py_ssize_t count = items(&points, 4);
    int64_t *starts = malloc((size_t)(count + 1) * 16), *ends = starts + count + 1;
    if (!starts) PyErr_NoMemory();
    if (starts && count >= 0 && has(&classes, CODE_POINTS, "classes") && in_range(points.buf, count)) {
        Py_ssize_t found = find_spans(classes.buf, points.buf, count, starts, ends);
        result = Py_BuildValue("y#y#", (char *)starts, found * 8, (char *)ends, found * 8);
    }
    free(starts);
    PyBuffer_Release(&points);
    PyBuffer_Release(&classes);
    return result;
}

static PyMethodDef functions[] = {
    {"spans", spans, METH_VARARGS, "(points: uint32, classes: uint8) -> int64 starts and ends of words, as bytes"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_words", NULL, 0, functions, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__words(void) { return PyModule_Create(&module); }
