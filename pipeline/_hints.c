/* hints.tags: the tags of a page's head that say something about the page. */

#include "html.h"

static int is_one_of(const Tag *tag, const char *const *names) {
    for (; *names; names++)
        if (is_named(tag, *names)) return 1;
    return 0;
}

/* Names and values are decoded as UTF-8; references in values stay as they are. */
static PyObject *attributes_of(const Tag *tag) {
    PyObject *all = PyDict_New();
    for (int k = 0; all && k < tag->count; k++) {
        char small[MAX_NAME];
        Value name = tag->attributes[k].name, value = tag->attributes[k].value;
        if (name.length >= MAX_NAME) continue;
        for (Py_ssize_t at = 0; at < name.length; at++) small[at] = lower(name.start[at]);
        PyObject *key = PyUnicode_DecodeUTF8(small, name.length, "replace");
        PyObject *text = key ? PyUnicode_DecodeUTF8(value.start, value.length, "replace") : NULL;
        if (!text || (!PyDict_GetItemWithError(all, key) && (PyErr_Occurred() || PyDict_SetItem(all, key, text)))) Py_CLEAR(all);
        Py_XDECREF(key);
        Py_XDECREF(text);
    }
    return all;
}

static int add_tag(PyObject *found, const Tag *tag) {
    PyObject *attributes = attributes_of(tag);
    PyObject *pair = attributes ? Py_BuildValue("(s#N)", tag->name, (Py_ssize_t)tag->length, attributes) : NULL;
    int added = pair && !PyList_Append(found, pair);
    Py_XDECREF(pair);
    return added;
}

/* The list of tags up to the body; NULL and an exception if memory is out. */
static PyObject *read_head(Text *text) {
    static const char *const TOLD[] = {"html", "meta", "link", NULL};
    static const char *const PASSED[] = {"script", "style", "title", "textarea", "noframes", "xmp", "iframe", NULL};
    PyObject *found = PyList_New(0);
    int in_template = 0;
    Tag tag;
    while (found && (text->at = memchr(text->at, '<', (size_t)(text->stop - text->at)))) {
        const char *at = text->at;
        if (begins(at, text->stop, "<!--", 4)) {
            text->at += 4;
            pass_comment(text);
            continue;
        }
        int is_end = text->stop - at > 1 && at[1] == '/';
        text->at += 1 + is_end;
        if (text->at == text->stop || !is_letter(*text->at)) continue;
        if (!read_tag(text, &tag, is_end)) break;
        if (is_named(&tag, "template")) in_template = !is_end;
        if ((is_end && is_named(&tag, "head")) || (!is_end && is_named(&tag, "body"))) break;
        if (is_end || in_template) continue;
        if (is_one_of(&tag, TOLD) && !add_tag(found, &tag)) Py_CLEAR(found);
        if (is_one_of(&tag, PASSED)) text->at = end_of_raw(text, &tag);
    }
    return found;
}

static PyObject *tags(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer data;
    if (!PyArg_ParseTuple(arguments, "y*", &data)) return NULL;
    Text text = {data.buf, (const char *)data.buf + data.len};
    PyObject *result = read_head(&text);
    PyBuffer_Release(&data);
    return result;
}

static PyMethodDef functions[] = {
    {"tags", tags, METH_VARARGS, "(page: UTF-8) -> [(name, {attribute: value})] of <html>, <meta>, <link> in the head"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_hints", NULL, 0, functions, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__hints(void) { return PyModule_Create(&module); }
