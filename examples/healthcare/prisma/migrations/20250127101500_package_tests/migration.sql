-- CreateTable
CREATE TABLE "PackageTest" (
    "packageId" INTEGER NOT NULL,
    "testId" INTEGER NOT NULL,

    CONSTRAINT "PackageTest_pkey" PRIMARY KEY ("packageId","testId")
);

-- CreateIndex
CREATE INDEX "PackageTest_testId_idx" ON "PackageTest"("testId");

-- AddForeignKey
ALTER TABLE "PackageTest" ADD CONSTRAINT "PackageTest_packageId_fkey" FOREIGN KEY ("packageId") REFERENCES "HealthPackage"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "PackageTest" ADD CONSTRAINT "PackageTest_testId_fkey" FOREIGN KEY ("testId") REFERENCES "DiagnosticTest"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
