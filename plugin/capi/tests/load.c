/* Threads inspect while the template is replaced. With `fork`, a child process inspects: it gets an error and no hang.
 *
 * usage: load TEMPLATE PICTURE THREADS SWAPS [fork]
 *
 * Ends with 0 if every inspection had the one right score, and every misuse its error. */
#include <hetmm.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_THREADS 64

static const hetmm_inspector *inspector;
static const char *picture;
static float right_score;
static volatile int is_done;

static void fail(const char *what)
{
    fprintf(stderr, "FAIL %s: %s\n", what, hetmm_last_error());
    exit(1);
}

static void *inspect_until_done(void *counted)
{
    size_t count = 0;
    while (!is_done || count == 0) {
        hetmm_inspection *found = NULL;
        hetmm_verdict verdict = HETMM_VERDICT_OK;
        if (hetmm_inspect_file(inspector, picture, &verdict, &found) != HETMM_OK)
            fail("an inspection under load");
        if (hetmm_inspection_score(found) != right_score || verdict != hetmm_inspection_verdict(found))
            fail("another score under load");
        hetmm_inspection_free(found);
        count++;
    }
    *(size_t *)counted = count;
    return NULL;
}

/* The child's copy of an inspector has no threads: it must say so, and must not wait for them. */
static void fork_and_inspect(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        hetmm_verdict verdict = HETMM_VERDICT_OK;
        alarm(60);
        if (hetmm_inspect_file(inspector, picture, &verdict, NULL) != HETMM_USAGE || verdict != HETMM_VERDICT_NG)
            _exit(1);
        _exit(strstr(hetmm_last_error(), "fork") ? 0 : 2);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail("an inspection after fork");
}

int main(int count, char **arguments)
{
    hetmm_template *template = NULL;
    hetmm_inspector *made = NULL;
    hetmm_inspection *first = NULL;
    hetmm_verdict verdict;
    pthread_t threads[MOST_THREADS];
    size_t inspected[MOST_THREADS], all = 0;
    int workers, swaps, i;
    if (count < 5 || (workers = atoi(arguments[3])) < 1 || workers > MOST_THREADS)
        return 2;
    swaps = atoi(arguments[4]);
    picture = arguments[2];
    if (hetmm_template_open(arguments[1], &template) || hetmm_inspector_new(template, NULL, &made))
        fail("the template");
    inspector = made;
    if (hetmm_inspect_file(inspector, picture, &verdict, &first) != HETMM_OK)
        fail("the first inspection");
    right_score = hetmm_inspection_score(first);
    hetmm_inspection_free(first);
    if (count == 6)
        fork_and_inspect();
    for (i = 0; i < workers; i++)
        if (pthread_create(&threads[i], NULL, inspect_until_done, &inspected[i]))
            fail("a thread");
    for (i = 0; i < swaps; i++) {
        hetmm_template *next = NULL;
        if (hetmm_template_open(arguments[1], &next) || hetmm_inspector_replace(inspector, next))
            fail("a replacement");
        hetmm_template_free(next);
    }
    is_done = 1;
    for (i = 0; i < workers; i++) {
        pthread_join(threads[i], NULL);
        all += inspected[i];
    }
    hetmm_template_free(template);
    hetmm_inspector_free(made);
    printf("%d replacements under %d threads, %lu inspections, all right\n", swaps, workers, (unsigned long)all);
    return 0;
}
