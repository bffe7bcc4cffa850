/* A thread loads the library, inspects, unloads it and ends; then the process goes on for a while.
 *
 * usage: unload LIBRARY TEMPLATE PICTURE */
#include <dlfcn.h>
#include <hetmm.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

static char **arguments;

/* C has no cast from a pointer to a function: memory is read as one. */
static void find(void *library, const char *name, void *function)
{
    *(void **)function = dlsym(library, name);
}

static void *load_inspect_unload(void *is_right)
{
    hetmm_status (*open)(const char *, hetmm_template **);
    hetmm_status (*make)(const hetmm_template *, const hetmm_options *, hetmm_inspector **);
    hetmm_status (*inspect)(const hetmm_inspector *, const char *, hetmm_verdict *, hetmm_inspection **);
    hetmm_template *template = NULL;
    hetmm_inspector *inspector = NULL;
    hetmm_verdict verdict;
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    find(library, "hetmm_template_open", &open);
    find(library, "hetmm_inspector_new", &make);
    find(library, "hetmm_inspect_file", &inspect);
    if (open(arguments[2], &template) || make(template, NULL, &inspector) ||
        inspect(inspector, arguments[3], &verdict, NULL))
        return NULL;
    /* The inspector is left behind on purpose: its threads live on. */
    dlclose(library);
    *(int *)is_right = 1;
    return NULL;
}

int main(int count, char **given)
{
    const struct timespec a_while = {0, 200000000};
    pthread_t thread;
    int is_right = 0;
    arguments = given;
    if (count != 4 || pthread_create(&thread, NULL, load_inspect_unload, &is_right))
        return 2;
    pthread_join(thread, NULL);
    nanosleep(&a_while, NULL);
    return is_right ? 0 : 1;
}
