/*
 * hetmm: visual inspection from pictures of good parts alone.
 *
 * Made from src/ffi.rs by `cargo test -p hetmm-capi`; do not edit.
 *
 * Every `out` parameter that is a handle is the caller's and has one `_free`. `const` strings belong to the handle that
 * gave them. All handles may be used from any thread; `_free` must be the last call.
 */

#ifndef HETMM_H
#define HETMM_H

#include <stddef.h>
#include <stdint.h>

/*
 The number in the soname. It grows when a function changes in a way that old programs notice.
 */
#define HETMM_ABI 0

/*
 Do not compute the golden probes before a template is used.
 */
#define HETMM_NO_PROOF 1

/*
 Take pictures of another shape than the template's; they are squeezed.
 */
#define HETMM_ANY_SHAPE 2

/*
 Insert pictures that look like defects, too.
 */
#define HETMM_INSERT_FORCE 1

/*
 The result of one inspection.
 */
typedef struct hetmm_inspection hetmm_inspection;

/*
 What inspects pictures with a template.
 */
typedef struct hetmm_inspector hetmm_inspector;

/*
 A template in memory.
 */
typedef struct hetmm_template hetmm_template;

/*
 The result of a function: HETMM_OK, or what failed. `hetmm_last_error` has the words.
 */
typedef int32_t hetmm_status;

/*
 How an inspector computes. hetmm_options_init sets the defaults.
 */
typedef struct {
  /*
   sizeof(hetmm_options).
   */
  size_t struct_size;
  /*
   The ONNX file of the backbone; NULL for the one in the library.
   */
  const char *backbone;
  /*
   "usual" (what made the template), "int8", "tract", "cpu", "cuda", "tensorrt", "tract-cuda" or "auto"; NULL for "usual".
   */
  const char *device;
  /*
   The shared library of ONNX Runtime; NULL to look for it.
   */
  const char *onnxruntime;
  /*
   Threads; 0 for one a core.
   */
  uint32_t threads;
  /*
   HETMM_NO_PROOF, HETMM_ANY_SHAPE, or both.
   */
  uint32_t flags;
} hetmm_options;

/*
 How the samples of a pixel lie in memory. X is a byte that is not read.
 */
typedef int32_t hetmm_format;

/*
 A picture in the caller's memory, which is read during the call only. Set struct_size to sizeof(hetmm_picture) and
 everything else to zero first.
 */
typedef struct {
  /*
   sizeof(hetmm_picture).
   */
  size_t struct_size;
  /*
   The first pixel of the first row.
   */
  const void *data;
  /*
   Bytes of data. The last row may lack its padding.
   */
  size_t data_size;
  /*
   Columns, from 8.
   */
  uint32_t width;
  /*
   Rows, from 8.
   */
  uint32_t height;
  /*
   Bytes from the start of a row to the start of the next.
   */
  size_t stride;
  /*
   One of HETMM_GRAY8 and its like.
   */
  hetmm_format format;
  /*
   Zero.
   */
  uint32_t reserved;
} hetmm_picture;

/*
 What to do with a part. Zeroed memory is not "ok".
 */
typedef int32_t hetmm_verdict;

/*
 A region above the threshold, in pixels of the picture. Set struct_size to sizeof(hetmm_region) first.
 */
typedef struct {
  /*
   sizeof(hetmm_region).
   */
  size_t struct_size;
  /*
   Left edge.
   */
  uint32_t x;
  /*
   Top edge.
   */
  uint32_t y;
  /*
   Columns of the bounding box.
   */
  uint32_t width;
  /*
   Rows of the bounding box.
   */
  uint32_t height;
  /*
   Pixels of the region.
   */
  uint32_t area;
  /*
   The largest value in the region.
   */
  float peak;
  /*
   Square millimetres; NaN where the size of a pixel is not known.
   */
  double area_mm2;
  /*
   1 if it counts, 0 if not, -1 where the template has no rules.
   */
  int32_t counts;
  /*
   The zone that it lies in; NULL for none. It belongs to the inspection.
   */
  const char *zone;
} hetmm_region;

/*
 Success.
 */
#define HETMM_OK 0

/*
 A picture looks like a defect, and HETMM_INSERT_FORCE is not set.
 */
#define HETMM_UNCONFIRMED 1

/*
 An argument cannot be used.
 */
#define HETMM_USAGE 2

/*
 A picture cannot be used.
 */
#define HETMM_IMAGE 3

/*
 A template cannot be used.
 */
#define HETMM_TEMPLATE 4

/*
 A file, a device or the memory failed.
 */
#define HETMM_IO 5

/*
 The model cannot be used, or the feature extractor failed.
 */
#define HETMM_MODEL 6

/*
 The library has a fault of its own.
 */
#define HETMM_PANIC 7

/*
 There is no verdict.
 */
#define HETMM_VERDICT_NONE 0

/*
 The part passes.
 */
#define HETMM_VERDICT_OK 1

/*
 A person should look at the part.
 */
#define HETMM_VERDICT_REVIEW 2

/*
 The part is rejected.
 */
#define HETMM_VERDICT_NG 3

/*
 One byte: brightness.
 */
#define HETMM_GRAY8 1

/*
 Three bytes: red, green, blue.
 */
#define HETMM_RGB8 2

/*
 Three bytes: blue, green, red.
 */
#define HETMM_BGR8 3

/*
 Four bytes: red, green, blue, X.
 */
#define HETMM_RGBX8 4

/*
 Four bytes: blue, green, red, X.
 */
#define HETMM_BGRX8 5

/*
 Four bytes: X, red, green, blue.
 */
#define HETMM_XRGB8 6

/*
 Four bytes: X, blue, green, red.
 */
#define HETMM_XBGR8 7

/*
 One 16-bit sample in the processor's byte order: brightness, 65535 is full scale.
 */
#define HETMM_GRAY16 8

/*
 Three 16-bit samples: red, green, blue.
 */
#define HETMM_RGB16 9

/*
 Three 16-bit samples: blue, green, red.
 */
#define HETMM_BGR16 10

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Returns HETMM_ABI of the library, to be compared with that of the header.
 */
uint32_t hetmm_abi(void);

/*
 Returns the version of the library, as in "0.2.0".
 */
const char *hetmm_version(void);

/*
 Returns the words of this thread's last failure, with the next step. Never NULL; valid until the thread's next failure.
 */
const char *hetmm_last_error(void);

/*
 Opens and checks the template in a file.
 */
hetmm_status hetmm_template_open(const char *path, hetmm_template **out);

/*
 Opens and checks a template from the bytes of its file, which are copied.
 */
hetmm_status hetmm_template_from_bytes(const void *bytes, size_t size, hetmm_template **out);

/*
 Frees a template. Inspectors that were made of it keep their own. NULL is fine.
 */
void hetmm_template_free(hetmm_template *template_);

/*
 Sets all defaults. `struct_size` is sizeof(hetmm_options).
 */
void hetmm_options_init(hetmm_options *options, size_t struct_size);

/*
 Joins a template with its backbone. `or_null` may be NULL for the defaults.
 */
hetmm_status hetmm_inspector_new(const hetmm_template *template_,
                                 const hetmm_options *or_null,
                                 hetmm_inspector **out);

/*
 Takes another template into use, after it is proven. Inspections that are running end with the old one. After a
 failure the old one stays.
 */
hetmm_status hetmm_inspector_replace(const hetmm_inspector *inspector,
                                     const hetmm_template *template_);

/*
 Frees an inspector, when no other call uses it any more. NULL is fine.
 */
void hetmm_inspector_free(hetmm_inspector *inspector);

/*
 Inspects a picture. `verdict` is HETMM_VERDICT_NG after every failure, so a caller who ignores the status rejects the
 part. `out_or_null` may be NULL.
 */
hetmm_status hetmm_inspect(const hetmm_inspector *inspector,
                           const hetmm_picture *picture,
                           hetmm_verdict *verdict,
                           hetmm_inspection **out_or_null);

/*
 As hetmm_inspect, for the picture in a file: PNG, JPEG, BMP, TIFF, PNM or WebP, decoded as the programs do.
 */
hetmm_status hetmm_inspect_file(const hetmm_inspector *inspector,
                                const char *path,
                                hetmm_verdict *verdict,
                                hetmm_inspection **out_or_null);

/*
 Returns the verdict; HETMM_VERDICT_NONE for NULL.
 */
hetmm_verdict hetmm_inspection_verdict(const hetmm_inspection *inspection);

/*
 Returns the score; NaN for NULL.
 */
float hetmm_inspection_score(const hetmm_inspection *inspection);

/*
 Returns the threshold of the template; NaN for NULL.
 */
float hetmm_inspection_threshold(const hetmm_inspection *inspection);

/*
 Returns which template decided: 1 for the first of the inspector, one more after each replacement; 0 for NULL.
 */
uint64_t hetmm_inspection_generation(const hetmm_inspection *inspection);

/*
 Returns the number of regions; 0 for NULL.
 */
size_t hetmm_inspection_region_count(const hetmm_inspection *inspection);

/*
 Fills in region `index`, counted from 0.
 */
hetmm_status hetmm_inspection_region(const hetmm_inspection *inspection,
                                     size_t index,
                                     hetmm_region *out);

/*
 Returns the blurred anomaly map, row after row, and its size; NULL for NULL. It belongs to the inspection.
 */
const float *hetmm_inspection_map(const hetmm_inspection *inspection,
                                  uint32_t *width,
                                  uint32_t *height);

/*
 Returns the object that `hetmm inspect --json` prints, without its key "image"; NULL for NULL. It belongs to the
 inspection.
 */
const char *hetmm_inspection_json(const hetmm_inspection *inspection);

/*
 Frees an inspection. NULL is fine.
 */
void hetmm_inspection_free(hetmm_inspection *inspection);

/*
 Inserts good pictures into the template in a file, all or none. `report_json` may be NULL; else it gets what was done,
 to be freed with hetmm_string_free.
 */
hetmm_status hetmm_insert(const char *file,
                          const char *const *pictures,
                          size_t count,
                          const char *who,
                          int64_t unix_time_s,
                          uint32_t flags,
                          char **report_json);

/*
 Takes back what entry `id_or_0` of the journal and all later ones have inserted; the last one for 0. `report_json` as
 for hetmm_insert.
 */
hetmm_status hetmm_undo(const char *file,
                        uint32_t id_or_0,
                        char **report_json);

/*
 Frees a string that a `char **` parameter has received. NULL is fine.
 */
void hetmm_string_free(char *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* HETMM_H */
