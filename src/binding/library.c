/* Functions of the module: none needs a connection, and none has to wait. */

#include "binding/library.h"

#include <limits.h>
#include <stdlib.h>

#include "binding/args.h"
#include "binding/errors.h"
#include "engine/describe.h"
#include "engine/vfs.h"

PyDoc_STRVAR(
    status_doc,
    "status($module, op, reset=False)\n--\n\n"
    "Give a tuple (current, highest) of one of SQLite's counters for the process.\n\n"
    "op: SQLITE_STATUS_... reset: set the highest value to the current one. A bundled\n"
    "SQLite does not count memory, because that costs a global mutex at each allocation:\n"
    "those counters are 0; db_status() has a connection's. Raises InterfaceError for an op\n"
    "that SQLite does not know. As apsw.status(). sqlite3_status64().");

static PyObject *
library_status(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"op", "reset", NULL};
    sqlite3_int64 current = 0;
    sqlite3_int64 highest = 0;
    int reset = 0;
    int op;
    int rc;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i|p:status", keywords, &op, &reset)) {
        return NULL;
    }
    rc = sqlite3_status64(op, &current, &highest, reset);
    if (rc != SQLITE_OK) {
        struct csq_error error;

        csq_error_init(&error);
        csq_error_set(&error, rc, "SQLite has no status %d", op);
        errors_raise(PyModule_GetState(module), &error, NULL);
        csq_error_clear(&error);
        return NULL;
    }
    return Py_BuildValue("(LL)", (long long)current, (long long)highest);
}

/* How many VFSs are listed, and how long their names may be: nobody registers more. */
enum { VFS_MOST = 64, VFS_NAME = 128 };

/* Copies the names of the VFSs. SQLite's mutex, which sqlite3_vfs_find() takes as well,
 * guards its list; no Python code may run while it is held, so objects are made
 * afterwards. */
static int
copy_vfs_names(char names[VFS_MOST][VFS_NAME])
{
    sqlite3_mutex *mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_MASTER);
    const sqlite3_vfs *first = sqlite3_vfs_find(NULL);
    int count = 0;

    sqlite3_mutex_enter(mutex);
    for (const sqlite3_vfs *vfs = first; vfs != NULL && count < VFS_MOST; vfs = vfs->pNext) {
        if (strlen(vfs->zName) < VFS_NAME) {
            strcpy(names[count], vfs->zName);
            count++;
        }
    }
    sqlite3_mutex_leave(mutex);
    return count;
}

PyDoc_STRVAR(vfs_list_doc,
             "vfs_list($module, /)\n--\n\n"
             "Give the names of SQLite's VFSs, the default first: what connect(vfs=) takes.\n\n"
             "Extensions can add some. As apsw.vfs_names(). sqlite3_vfs_find().");

static PyObject *
library_vfs_list(PyObject *module, PyObject *unused)
{
    char names[VFS_MOST][VFS_NAME];
    int rc = sqlite3_initialize();
    int count = rc == SQLITE_OK ? copy_vfs_names(names) : 0;
    PyObject *list = PyList_New(count);

    (void)module;
    (void)unused;
    for (int i = 0; list != NULL && i < count; i++) {
        PyObject *name = PyUnicode_DecodeUTF8(names[i], (Py_ssize_t)strlen(names[i]), "replace");

        if (name == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, i, name);
        }
    }
    return list;
}

PyDoc_STRVAR(
    vfs_state_doc,
    "_vfs_state($module, /)\n--\n\n"
    "Tell how the locks of another copy of SQLite are treated: 'guarded', seen and kept;\n"
    "'exposed', not seen; 'shared', csqlite is linked with a library that others may be\n"
    "linked with as well, and does nothing.");

static PyObject *
library_vfs_state(PyObject *module, PyObject *unused)
{
    static const char *const names[] = {[CSQ_VFS_SHARED] = "shared",
                                        [CSQ_VFS_GUARDED] = "guarded",
                                        [CSQ_VFS_EXPOSED] = "exposed"};

    (void)module;
    (void)unused;
    return PyUnicode_FromString(names[csq_vfs_install()]);
}

PyDoc_STRVAR(source_id_doc, "_source_id($module, /)\n--\n\n"
                            "Give what this SQLite was made from. sqlite3_sourceid().");

static PyObject *
library_source_id(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyUnicode_FromString(sqlite3_sourceid());
}

static PyMethodDef library_functions[] = {
    {"status", (PyCFunction)(void (*)(void))library_status, METH_VARARGS | METH_KEYWORDS,
     status_doc},
    {"vfs_list", library_vfs_list, METH_NOARGS, vfs_list_doc},
    {"_vfs_state", library_vfs_state, METH_NOARGS, vfs_state_doc},
    {"_source_id", library_source_id, METH_NOARGS, source_id_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(build_doc, "Which SQLite csqlite was built on, and how: a named tuple.");

static const PyStructSequence_Field build_fields[] = {
    {"version", "Of the SQLite in use, as sqlite_version."},
    {"source", "\"bundled\", \"system\", or the directory whose sqlite3.c was compiled."},
    {"options", "What that SQLite was compiled with, as compile_options."},
    {NULL, NULL},
};

/* Adds `build`, which has `options`. */
static int
add_build(PyObject *module, PyObject *options)
{
    PyStructSequence_Desc description = {
        .name = "csqlite.build",
        .doc = build_doc,
        .fields = (PyStructSequence_Field *)build_fields,
        .n_in_sequence = 3,
    };
    PyTypeObject *type = PyStructSequence_NewType(&description);
    PyObject *values = NULL;
    PyObject *build = NULL;

    if (type == NULL) {
        return -1;
    }
    values = Py_BuildValue("(sNO)", sqlite3_libversion(),
                           PyUnicode_DecodeFSDefault(CSQLITE_SOURCE), options);
    if (values != NULL) {
        build = PyObject_CallOneArg((PyObject *)type, values);
    }
    Py_DECREF(type);
    Py_XDECREF(values);
    if (build == NULL || PyModule_AddObject(module, "build", build) < 0) {
        Py_XDECREF(build);
        return -1;
    }
    return 0;
}

/* How many parameters SQLite was compiled for; it may not tell. */
static int
most_parameters(void)
{
    static const char name[] = "MAX_VARIABLE_NUMBER=";
    const char *option;
    int i = 0;

    do {
        option = sqlite3_compileoption_get(i++);
    } while (option != NULL && strncmp(option, name, strlen(name)) != 0);
    return option == NULL ? INT_MAX : atoi(option + strlen(name));
}

/* What SQLite was compiled with, a tuple; NULL with an exception. */
static PyObject *
compile_options(void)
{
    PyObject *list = PyList_New(0);
    PyObject *options;

    for (int i = 0; list != NULL; i++) {
        const char *option = sqlite3_compileoption_get(i);
        PyObject *text = option == NULL ? NULL : PyUnicode_FromString(option);

        if (option == NULL) {
            break;
        }
        if (text == NULL || PyList_Append(list, text) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(text);
    }
    options = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    return options;
}

int
library_init(PyObject *module)
{
    PyObject *options;

    if (PyModule_AddFunctions(module, library_functions) < 0) {
        return -1;
    }
    /* Whether csqlite/statement.py can tell where columns come from. */
    if (PyModule_AddObject(module, "_origins", PyBool_FromLong(csq_describe_origins())) < 0) {
        return -1;
    }
    ((struct module_state *)PyModule_GetState(module))->most_parameters = most_parameters();
    options = compile_options();
    if (options == NULL || add_build(module, options) < 0 ||
        PyModule_AddObject(module, "compile_options", options) < 0) {
        Py_XDECREF(options);
        return -1;
    }
    return 0;
}
