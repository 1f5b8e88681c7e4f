/* Direct I/O that goes on after its call. */
#include "common.h"
#include <linux/aio_abi.h>

static inline aio_context_t start(void)
{
	aio_context_t context = 0;
	must(syscall(SYS_io_setup, 4, &context), "io_setup");
	return context;
}

static inline void submit(aio_context_t context, int fd, void *at, unsigned long bytes)
{
	struct iocb request, *requests = &request;
	memset(&request, 0, sizeof request);
	request.aio_lio_opcode = IOCB_CMD_PREAD;
	request.aio_fildes = fd;
	request.aio_buf = (unsigned long)at;
	request.aio_nbytes = bytes;
	must(syscall(SYS_io_submit, context, 1, &requests), "io_submit");
}

static inline void reap(aio_context_t context)
{
	struct io_event event;
	must(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), "io_getevents");
}
