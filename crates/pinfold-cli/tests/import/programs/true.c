/* Nothing, for others to execute. */
int main(void)
{
	return 0;
}
