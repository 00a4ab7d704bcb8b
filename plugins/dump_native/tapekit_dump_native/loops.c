/*
 * The loops in which a dump of small files spends its time: reading the files
 * of a directory into a ring buffer behind their headers, making files in a
 * directory, and fetching files from a disk before their turn. All are plain
 * system calls, one after the other. The first two stop at the first file
 * that is anything but ordinary, of which nothing has been done then: who
 * called goes on with it.
 *
 * The structures are repeated in library.py; their sizes are compared when
 * the library is loaded.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "headers are little-endian and stored as they are in memory"
#endif

#define RECORD 1024u
#define BLOCK 512u
#define PAGE 4096u
#define SECOND_NS 1000000000ll

/* Offsets in a header (dumprestore.h, struct s_spcl). */
enum {
    AT_RECORD = 16,
    AT_NUMBER = 20,
    AT_CHECKSUM = 28,
    AT_MODE_AND_LINKS = 32,
    AT_LOW_IDS = 36,
    AT_SIZE = 40,
    AT_ATIME_S = 48,
    AT_ATIME_US = 52,
    AT_MTIME_S = 56,
    AT_MTIME_US = 60,
    AT_CTIME_S = 64,
    AT_UID = 144,
    AT_GID = 148,
    AT_COUNT = 160,
    AT_PRESENT = 164,
};

enum stop { DONE = 0, FULL = 1, UNUSUAL = 2, ATTRIBUTES = 3 };

/* One entry of the file history. */
struct node {
    int64_t number, mode, size, mtime_s, atime_s, ctime_s, uid, gid, links, position;
};

struct reading {
    const char *name;        /* in and out: the next one; each ends with a NUL */
    const uint32_t *numbers; /* of the objects in the dump, one for each name */
    uint8_t *buffer;
    const uint8_t *constant; /* a header without what differs */
    struct node *nodes;      /* room for as many as names, or NULL */
    uint64_t count;          /* names */
    uint64_t taken;          /* in and out: names that are done with */
    uint64_t room;           /* bytes of the buffer */
    uint64_t end;            /* in and out: bytes used of it */
    uint64_t base;           /* position in the stream of the buffer's start */
    uint64_t small;          /* bytes of an ordinary file, at most */
    uint32_t sum;            /* what is left for a header's own words */
    int32_t directory;
    int32_t flags;           /* for openat */
    int32_t with_attributes; /* whether files may have extended attributes */
    int32_t descriptor;      /* out: the last file, if it has attributes */
    int32_t reserved;
};

struct making {
    const char *const *names;
    const char *const *contents;
    const int64_t *attributes; /* size, mode, uid, gid, atime_ns, mtime_ns of each */
    uint64_t count;
    int32_t directory;
    uint32_t chmod_for;        /* mode bits that creation does not give */
};

struct fetching {
    const char *name;  /* the first; each ends with a NUL */
    uint64_t count;    /* names */
    uint64_t most;     /* bytes of a file that are fetched */
    uint64_t blocks;   /* out: of 512 bytes, read from disks in all */
    uint64_t contents; /* out: of these, contents of files */
    uint64_t length;   /* out: of the contents, in whole pages */
    int32_t directory;
    int32_t reserved;
};

uint64_t tapekit_reading_bytes(void) { return sizeof(struct reading); }
uint64_t tapekit_making_bytes(void) { return sizeof(struct making); }
uint64_t tapekit_fetching_bytes(void) { return sizeof(struct fetching); }

static void put32(uint8_t *header, unsigned at, uint32_t value)
{
    memcpy(header + at, &value, sizeof value);
}

static int fits(const struct timespec *time)
{
    return time->tv_sec >= 0 && time->tv_sec <= UINT32_MAX;
}

/* Whether a header can hold a file, and one header is enough for it. */
static int is_ordinary(const struct stat *status, uint64_t small)
{
    return S_ISREG(status->st_mode) && (uint64_t)status->st_size <= small
        && status->st_size <= (off_t)status->st_blocks * 512
        && status->st_nlink <= UINT16_MAX && fits(&status->st_atim)
        && fits(&status->st_mtim) && fits(&status->st_ctim);
}

static void pack(const struct reading *call, uint8_t *header, uint32_t number,
                 const struct stat *status, uint32_t records)
{
    uint32_t record = (uint32_t)((call->base + call->end) / RECORD);
    uint32_t mode_and_links = status->st_mode | (uint32_t)status->st_nlink << 16;
    uint32_t low_ids = (status->st_uid & 0xFFFF) | (status->st_gid & 0xFFFF) << 16;
    uint32_t size = (uint32_t)status->st_size; /* small files have no more */
    uint32_t atime_us = (uint32_t)(status->st_atim.tv_nsec / 1000);
    uint32_t mtime_us = (uint32_t)(status->st_mtim.tv_nsec / 1000);
    uint32_t atime_s = (uint32_t)status->st_atim.tv_sec;
    uint32_t mtime_s = (uint32_t)status->st_mtim.tv_sec;
    uint32_t ctime_s = (uint32_t)status->st_ctim.tv_sec;
    uint32_t present = records / 4 * 0x01010101u; /* the sum of c_addr's words */
    for (uint32_t rest = 0; rest < records % 4; rest++)
        present += 1u << 8 * rest;

    memcpy(header, call->constant, RECORD);
    put32(header, AT_RECORD, record);
    put32(header, AT_NUMBER, number);
    put32(header, AT_CHECKSUM,
          call->sum - (record + number + mode_and_links + low_ids + size + atime_s + atime_us
                       + mtime_s + mtime_us + ctime_s + status->st_uid + status->st_gid
                       + records + present));
    put32(header, AT_MODE_AND_LINKS, mode_and_links);
    put32(header, AT_LOW_IDS, low_ids);
    put32(header, AT_SIZE, size);
    put32(header, AT_ATIME_S, atime_s);
    put32(header, AT_ATIME_US, atime_us);
    put32(header, AT_MTIME_S, mtime_s);
    put32(header, AT_MTIME_US, mtime_us);
    put32(header, AT_CTIME_S, ctime_s);
    put32(header, AT_UID, status->st_uid);
    put32(header, AT_GID, status->st_gid);
    put32(header, AT_COUNT, records);
    memset(header + AT_PRESENT, 1, records);
}

static void note(const struct reading *call, struct node *node, uint32_t number,
                 const struct stat *status)
{
    *node = (struct node){
        .number = number,
        .mode = status->st_mode,
        .size = status->st_size,
        .mtime_s = status->st_mtim.tv_sec,
        .atime_s = status->st_atim.tv_sec,
        .ctime_s = status->st_ctim.tv_sec,
        .uid = status->st_uid,
        .gid = status->st_gid,
        .links = (int64_t)status->st_nlink,
        .position = (int64_t)(call->base + call->end),
    };
}

/* Append one file; DONE, or why it was not, the file being closed then. */
static enum stop read_file(struct reading *call, int file, uint32_t number, struct node *node)
{
    struct stat status;
    if (fstat(file, &status) != 0 || !is_ordinary(&status, call->small))
        return UNUSUAL;
    ssize_t attributes = call->with_attributes ? flistxattr(file, NULL, 0) : 0;
    if (attributes < 0)
        return UNUSUAL;
    /* A block of attributes counts among the file's, and could hide a hole. */
    if (attributes > 0 && status.st_size > 0 && lseek(file, 0, SEEK_HOLE) < status.st_size)
        return UNUSUAL;
    uint64_t size = (uint64_t)status.st_size;
    uint32_t records = (uint32_t)((size + RECORD - 1) / RECORD);
    uint64_t length = (uint64_t)(records + 1) * RECORD;
    if (length > call->room - call->end)
        return FULL;
    uint8_t *header = call->buffer + call->end, *data = header + RECORD;
    if (size != 0 && pread(file, data, size, 0) != (ssize_t)size)
        return UNUSUAL;
    pack(call, header, number, &status, records);
    memset(data + size, 0, (size_t)records * RECORD - size);
    if (node != NULL)
        note(call, node, number, &status);
    call->end += length;
    return attributes > 0 ? ATTRIBUTES : DONE;
}

/* Append files until all are done or something stops it. A file that has
 * attributes is done, but for them, and left open. */
int tapekit_read_files(struct reading *call)
{
    while (call->taken < call->count) {
        uint64_t at = call->taken;
        int file = openat(call->directory, call->name, call->flags);
        if (file < 0)
            return UNUSUAL;
        enum stop stop = read_file(call, file, call->numbers[at],
                                   call->nodes == NULL ? NULL : &call->nodes[at]);
        if (stop == ATTRIBUTES)
            call->descriptor = file;
        else
            close(file);
        if (stop == DONE || stop == ATTRIBUTES) {
            call->taken++;
            call->name += strlen(call->name) + 1;
        }
        if (stop != DONE)
            return stop;
    }
    return DONE;
}

static int write_all(int file, const char *data, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        ssize_t count = pwrite(file, data + done, size - done, (off_t)done);
        if (count <= 0)
            return -1;
        done += (uint64_t)count;
    }
    return 0;
}

static struct timespec moment(int64_t time_ns)
{
    int64_t part = time_ns % SECOND_NS;
    if (part < 0)
        part += SECOND_NS;
    return (struct timespec){.tv_sec = (time_t)((time_ns - part) / SECOND_NS), .tv_nsec = part};
}

/* Fill and finish a new file. */
static int finish(const struct making *call, int file, const char *content,
                  const int64_t *attributes)
{
    int64_t size = attributes[0], mode = attributes[1];
    uid_t uid = (uid_t)attributes[2];
    gid_t gid = (gid_t)attributes[3];
    struct timespec times[2] = {moment(attributes[4]), moment(attributes[5])};
    struct stat status;
    if (write_all(file, content, (uint64_t)size) != 0 || fstat(file, &status) != 0)
        return -1;
    if ((status.st_uid != uid || status.st_gid != gid) && fchown(file, uid, gid) != 0)
        return -1;
    if ((mode & call->chmod_for) && fchmod(file, (mode_t)mode & 07777) != 0)
        return -1;
    return futimens(file, times);
}

/* Make files; gives how many are complete. What the next one left is gone. */
uint64_t tapekit_make_files(const struct making *call)
{
    uint64_t at = 0;
    for (; at < call->count; at++) {
        const int64_t *attributes = call->attributes + 6 * at;
        int file = openat(call->directory, call->names[at],
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                          (mode_t)attributes[1] & 0777);
        if (file < 0)
            break;
        int failed = finish(call, file, call->contents[at], attributes);
        failed |= close(file);
        if (failed) {
            unlinkat(call->directory, call->names[at], 0);
            break;
        }
    }
    return at;
}

/* Blocks of 512 bytes that this thread has read from disks. */
static uint64_t blocks_read(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (uint64_t)usage.ru_inblock : 0;
}

/* Ask for all that the backup of a file will. */
static void fetch(struct fetching *call, int file)
{
    struct stat status;
    (void)flistxattr(file, NULL, 0);
    uint64_t before = blocks_read();
    (void)posix_fadvise(file, 0, (off_t)call->most, POSIX_FADV_WILLNEED);
    call->contents += blocks_read() - before;
    if (fstat(file, &status) == 0)
        call->length += ((uint64_t)status.st_size + PAGE - 1) / PAGE * (PAGE / BLOCK);
}

/* Bring files into the page cache. What cannot be opened is passed over. */
void tapekit_fetch_files(struct fetching *call)
{
    uint64_t before = blocks_read();
    for (uint64_t at = 0; at < call->count; at++) {
        int file = openat(call->directory, call->name,
                          O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (file >= 0) {
            fetch(call, file);
            close(file);
        }
        call->name += strlen(call->name) + 1;
    }
    call->blocks = blocks_read() - before;
}
