/* duplicates.signature: MinHash of the shingles of words. */

#include "native.h"

/* The least upper half of factor * shingle + offset. */
CLONED static uint32_t least(const uint64_t *shingles, Py_ssize_t count, uint64_t factor, uint64_t offset) {
    uint32_t found = UINT32_MAX;
    for (Py_ssize_t place = 0; place < count; place++) {
        uint32_t value = (uint32_t)((factor * shingles[place] + offset) >> 32);
        found = value < found ? value : found;
    }
    return found;
}

/* Fills shingles with the hashes of all runs of `width` words; returns their number. */
static Py_ssize_t fill(uint64_t *shingles, const uint64_t *words, Py_ssize_t count, const uint64_t *positions,
                       Py_ssize_t width) {
    if (width > count) width = count;
    if (!width) return 0;
    for (Py_ssize_t place = 0; place + width <= count; place++) {
        uint64_t total = 0;
        for (Py_ssize_t k = 0; k < width; k++) total += words[place + k] * positions[k];
        shingles[place] = total ^ total >> 29;
    }
    return count - width + 1;
}

static PyObject *signature(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer words, factors, offsets, positions;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*", &words, &factors, &offsets, &positions)) return NULL;
    Py_ssize_t count = items(&words, 8), values = items(&factors, 8), width = items(&positions, 8);
    uint64_t *shingles = NULL;
    if (count >= 0 && values >= 0 && width >= 0 && has(&offsets, factors.len, "offsets")) {
        shingles = malloc((size_t)(count + 1) * 8);
        result = shingles ? PyBytes_FromStringAndSize(NULL, values * 4) : PyErr_NoMemory();
    }
    if (result) {
        Py_ssize_t found = fill(shingles, words.buf, count, positions.buf, width);
        uint8_t *out = (uint8_t *)PyBytes_AsString(result);
        for (Py_ssize_t k = 0; k < values; k++) {
            uint32_t value = least(shingles, found, ((uint64_t *)factors.buf)[k], ((uint64_t *)offsets.buf)[k]);
            for (int byte = 0; byte < 4; byte++) out[4 * k + byte] = (uint8_t)(value >> 8 * byte);
        }
    }
    free(shingles);
    PyBuffer_Release(&words);
    PyBuffer_Release(&factors);
    PyBuffer_Release(&offsets);
    PyBuffer_Release(&positions);
    return result;
}

static PyMethodDef functions[] = {
    {"signature", signature, METH_VARARGS,
     "(word hashes, factors, offsets, positions: uint64 each) -> little-endian uint32, one for each factor"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_duplicates", NULL, 0, functions, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__duplicates(void) { return PyModule_Create(&module); }
