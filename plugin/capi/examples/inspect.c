/*
 * Inspects the pictures that are named on the command line:
 *
 *     cc inspect.c $(pkg-config --cflags --libs hetmm) -o inspect
 *     ./inspect hetmm-demo/part.hetmm hetmm-demo/parts/test/scratch/000.png
 *
 * Prints one line of JSON a picture, as `hetmm inspect --json` does. A part whose inspection failed is rejected.
 */
#include <hetmm.h>
#include <stdio.h>
#include <string.h>

/* A picture from memory, as a camera gives it: one with a single colour. */
static hetmm_status inspect_memory(const hetmm_inspector *inspector, hetmm_verdict *verdict)
{
    static unsigned char pixels[320 * (3 * 320 + 4)];
    hetmm_picture picture;

    memset(pixels, 90, sizeof pixels);
    memset(&picture, 0, sizeof picture);
    picture.struct_size = sizeof picture;
    picture.data = pixels;
    picture.data_size = sizeof pixels;
    picture.width = 320;
    picture.height = 320;
    picture.stride = 3 * 320 + 4;
    picture.format = HETMM_BGR8;
    return hetmm_inspect(inspector, &picture, verdict, NULL);
}

int main(int count, char **arguments)
{
    hetmm_template *template_ = NULL;
    hetmm_inspector *inspector = NULL;
    hetmm_verdict verdict;
    int i, rejected = 0;

    if (count < 2 || hetmm_abi() != HETMM_ABI) {
        fprintf(stderr, "usage: %s TEMPLATE PICTURE...\n", arguments[0]);
        return 2;
    }
    if (hetmm_template_open(arguments[1], &template_) != HETMM_OK
        || hetmm_inspector_new(template_, NULL, &inspector) != HETMM_OK) {
        fprintf(stderr, "error: %s\n", hetmm_last_error());
        hetmm_template_free(template_);
        return 4;
    }
    hetmm_template_free(template_); /* the inspector keeps its own */

    for (i = 2; i < count; i++) {
        hetmm_inspection *found = NULL;
        if (hetmm_inspect_file(inspector, arguments[i], &verdict, &found) != HETMM_OK)
            fprintf(stderr, "error: %s\n", hetmm_last_error());
        else
            printf("%s\n", hetmm_inspection_json(found));
        if (verdict != HETMM_VERDICT_OK)
            rejected++;
        hetmm_inspection_free(found);
    }
    if (count == 2 && inspect_memory(inspector, &verdict) != HETMM_OK)
        fprintf(stderr, "error: %s\n", hetmm_last_error());
    hetmm_inspector_free(inspector);
    return rejected > 0;
}
