/* words.spans: where words begin and end. */

#include "spans.h"

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
