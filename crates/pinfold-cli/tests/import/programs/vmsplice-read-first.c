/* As vmsplice-write, but the pipe is read before the buffer is filled again. */
#include "common.h"

int main(void)
{
	int ends[2];
	char back[PAGE];

	kernel();
	must(pipe(ends), "pipe");
	char *buffer = pages(1);
	struct iovec part = { buffer, PAGE };
	for (int i = 0; i < 2; i++) {
		memset(buffer, 'a' + i, PAGE);
		must(vmsplice(ends[1], &part, 1, 0), "vmsplice");
		must(read(ends[0], back, PAGE), "read");
	}
	return 0;
}
